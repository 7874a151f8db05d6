//! One incident, one alert. Which of a group's alerts somebody is told of, and which of them tell of the same.

use super::scope;
use super::state::{Active, Group};
use crate::config::{AlertRule, Alerts, LooksFor, ScopeKind};
use crate::detect::rise::WINDOWS;
use crate::event::v1::AlertState;

/// Alerts of a group that are kept apart. Further ones are inhibited by whichever is told of.
const ACTIVE_MAX: usize = 64;

impl Group {
    /// Puts an alert among those of its group, or takes it out once it has ended. Says which of the others must be written
    /// anew, because what inhibits them is another.
    pub fn put(&mut self, active: Active, now_ms: i64, settings: &Alerts) -> Vec<Active> {
        let place = self.active.iter().position(|other| other.id == active.id);
        let going_on = matches!(active.state(), AlertState::Pending | AlertState::Firing);
        match (place, going_on) {
            (Some(place), true) => {
                let before = self.active[place].clone();
                let (explained_by, explained_ms) = explanation(&before, &active, now_ms, settings);
                let Active { told, inhibited_by, .. } = before;
                self.active[place] = Active { told, inhibited_by, explained_by, explained_ms, ..active.clone() };
            }
            (Some(place), false) => {
                let ended = self.active.remove(place);
                if ended.told {
                    (self.last_leader, self.ended_ms) = (named(&ended), now_ms);
                    // What it had taken in has its tail: as long again or as long as the longest window sees it, and a
                    // pause.
                    let flap = i64::try_from(settings.flap.as_millis()).unwrap_or(i64::MAX);
                    let lasted = now_ms.saturating_sub(ended.since_ms);
                    let seen = WINDOWS[WINDOWS.len() - 1].saturating_mul(settings.bucket_ms());
                    self.until_ms = now_ms.saturating_add(flap).saturating_add(lasted.max(seen));
                }
            }
            (None, true) if self.active.len() < ACTIVE_MAX => {
                self.active.push(Active { explained_ms: now_ms, ..active.clone() });
            }
            (None, _) => {}
        }
        let changed = self.settle(now_ms, settings);
        changed.into_iter().filter(|other| other.id != active.id).collect()
    }

    /// What inhibits a provisional alert, as things look by now. What is confirmed does not change with it.
    pub fn look_ahead(&mut self, active: Active, now_ms: i64, settings: &Alerts) -> Option<String> {
        let id = active.id.clone();
        match self.provisional.iter().position(|other| other.id == id) {
            Some(place) => {
                let (explained_by, explained_ms) = explanation(&self.provisional[place], &active, now_ms, settings);
                let told = self.provisional[place].told;
                self.provisional[place] = Active { told, explained_by, explained_ms, ..active };
            }
            None if self.provisional.len() < ACTIVE_MAX => {
                self.provisional.push(Active { explained_ms: now_ms, ..active });
            }
            None => {}
        }
        let mut ahead = self.clone();
        ahead.active.append(&mut ahead.provisional);
        ahead.settle(now_ms, settings);
        for known in &mut self.provisional {
            known.told |= ahead.active.iter().any(|other| other.id == known.id && other.told);
        }
        ahead.inhibits(&id)
    }

    /// A provisional alert is confirmed, or taken back.
    pub fn decided(&mut self, id: &str) {
        self.provisional.retain(|other| other.id != id);
    }

    /// What inhibits this alert. One that found no place among its group's is inhibited by the first.
    pub fn inhibits(&self, id: &str) -> Option<String> {
        match self.active.iter().find(|active| active.id == id) {
            Some(active) => active.inhibited_by.clone(),
            None => self.active.iter().find(|active| active.inhibited_by.is_none()).map(named),
        }
    }

    /// The alerts that this one has taken in.
    pub fn taken_in_by(&self, id: &str) -> Vec<Active> {
        let Some(own) = self.active.iter().find(|active| active.id == id) else { return Vec::new() };
        let name = named(own);
        self.active.iter().filter(|other| other.inhibited_by.as_ref() == Some(&name)).cloned().collect()
    }

    /// Finds out anew who inhibits whom, and returns those for whom that has changed.
    fn settle(&mut self, now_ms: i64, settings: &Alerts) -> Vec<Active> {
        if now_ms >= self.until_ms {
            self.last_leader.clear();
        }
        let leader = self.leader(settings);
        let found: Vec<Option<String>> =
            (0..self.active.len()).map(|i| self.inhibited_by(i, leader, settings)).collect();
        let mut changed = Vec::new();
        for (active, inhibited_by) in self.active.iter_mut().zip(found) {
            let differs = active.inhibited_by != inhibited_by;
            active.inhibited_by = inhibited_by;
            active.told |= active.inhibited_by.is_none() && active.state() == AlertState::Firing;
            if differs {
                changed.push(active.clone());
            }
        }
        changed
    }

    fn inhibited_by(&self, i: usize, leader: Option<usize>, settings: &Alerts) -> Option<String> {
        let own = &self.active[i];
        let configured = settings.inhibitions.iter().find_map(|inhibition| {
            let labels = scope::labels(&own.scope);
            if !inhibition.target.matches(&own.rule, &labels) {
                return None;
            }
            // What is source and target is not inhibited by its like, or both would keep each other quiet.
            let is_both = inhibition.source.matches(&own.rule, &labels);
            let source = self.active.iter().enumerate().find(|(j, other)| {
                let others = scope::labels(&other.scope);
                let alike = inhibition.equal.iter().all(|name| labels.get(name) == others.get(name));
                let matches = alike && inhibition.source.matches(&other.rule, &others);
                let its_like = is_both && inhibition.target.matches(&other.rule, &others);
                *j != i && matches && !its_like && other.state() == AlertState::Firing
            });
            source.map(|(_, other)| named(other))
        });
        let elsewhere = || {
            let part = own.explained_by.as_deref().filter(|part| !self.is_within(part) && !own.told)?;
            // That group is not asked, so this is the alert that a rule for the same has there.
            let rule = settings.rules.iter().find(|rule| rule.name == own.rule);
            let telling = rule.and_then(|rule| settings.telling_within(rule, scope::kind(part)));
            let telling = telling.map_or(own.rule.as_str(), |rule| rule.name.as_str());
            Some(format!("{} {telling}", scope::prefixed(scope::counted(&own.scope), part)))
        };
        let taken_in = || self.is_tail(own).then(|| self.last_leader.clone());
        let led = || {
            let leader = &self.active[leader.filter(|leader| *leader != i)?];
            tells_of(leader, own).then(|| named(leader))
        };
        configured.or_else(taken_in).or_else(elsewhere).or_else(led)
    }

    /// The alert that tells of the group's incident. Whoever was told of one goes on with it; otherwise the one that was found
    /// first, since somebody may have been told of it while it was provisional; of those that were found together the
    /// broadest, unless one that is under way within it explains it; of one scope the rule that stands first.
    fn leader(&self, settings: &Alerts) -> Option<usize> {
        // A surge says what there is more of; an anomaly only that something is out of the ordinary.
        let rank = |rule: &str| {
            let place = settings.rules.iter().position(|known| known.name == rule);
            place
                .map(|place| (settings.rules[place].looks_for == LooksFor::Anomaly, place))
                .unwrap_or((true, usize::MAX))
        };
        let explained = |active: &Active| active.explained_by.as_ref().is_some_and(|part| self.is_within(part));
        let elsewhere =
            |active: &Active| !active.told && active.explained_by.as_ref().is_some_and(|part| !self.is_within(part));
        let candidates =
            self.active.iter().enumerate().filter(|(_, one)| !one.few && !elsewhere(one) && !self.is_tail(one));
        let best = candidates.min_by_key(|(_, active)| {
            let order = (scope::breadth(&active.scope), rank(&active.rule));
            (!active.told, active.found_ms, explained(active), order, active.scope.clone())
        });
        best.map(|(i, _)| i)
    }

    /// Whether it tells of the incident that the last leader told of: it was there when that one ended, or it is no broader
    /// and began before, so that a long window finds it only now. What was told of, and the leader's own return, are not.
    fn is_tail(&self, active: &Active) -> bool {
        let Some((scope, _)) = self.last_leader.rsplit_once(' ') else { return false };
        if active.less || scope::are_apart(scope, &active.scope) {
            return false;
        }
        let began_before = || active.since_ms < self.ended_ms && scope::breadth(&active.scope) >= scope::breadth(scope);
        !active.told && named(active) != self.last_leader && (active.found_ms <= self.ended_ms || began_before())
    }

    /// Whether an alert of this very scope is among the group's.
    fn is_within(&self, part: &str) -> bool {
        self.active.iter().any(|active| scope::bare(&active.scope) == part)
    }
}

/// Whether who is told of the one knows of the other: not that something else has stopped, nor of what shares no text with it,
/// nor that everything is worse than the part that leads.
fn tells_of(leader: &Active, own: &Active) -> bool {
    let broader = scope::kind(&own.scope) == ScopeKind::All && scope::kind(&leader.scope) != ScopeKind::All;
    let worse = broader && own.severity > leader.severity;
    leader.less == own.less && !worse && !scope::are_apart(&leader.scope, &own.scope)
}

/// What explains an alert, and when it last did. What a brand explained is not news when the brand is calm again and long
/// windows still see it: for as long as an incident may pause, and that something is out of the ordinary for good, since that
/// says nothing of what else it is.
fn explanation(before: &Active, now: &Active, now_ms: i64, settings: &Alerts) -> (Option<String>, i64) {
    let flap = i64::try_from(settings.flap.as_millis()).unwrap_or(i64::MAX);
    let elsewhere = scope::breadth(&now.scope) <= 1 && scope::kind(&now.scope) != ScopeKind::Brand;
    let anomaly = |rule: &AlertRule| rule.name == now.rule && rule.looks_for == LooksFor::Anomaly;
    let is_anomaly = settings.rules.iter().any(anomaly);
    match &now.explained_by {
        None if elsewhere && (is_anomaly || now_ms.saturating_sub(before.explained_ms) < flap) => {
            (before.explained_by.clone(), before.explained_ms)
        }
        explained_by => (explained_by.clone(), now_ms),
    }
}

/// As it is written in `inhibited_by`.
pub fn named(active: &Active) -> String {
    format!("{} {}", active.scope, active.rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inhibition, Matching};
    use crate::stages::alerts::seen::tests::settings;

    fn active(scope: &str, rule: &str, explained_by: Option<&str>) -> Active {
        Active {
            id: format!("{scope} {rule}"),
            scope: scope.into(),
            rule: rule.into(),
            state: AlertState::Firing.into(),
            explained_by: explained_by.map(Into::into),
            since_ms: 0,
            ..Active::default()
        }
    }

    /// Those that nobody inhibits, after all have been put in this order.
    fn told(all: &[Active]) -> Vec<String> {
        let mut group = Group::default();
        for one in all {
            group.put(one.clone(), 0, &settings());
        }
        let told = group.active.iter().filter(|active| active.inhibited_by.is_none());
        told.map(|active| active.id.clone()).collect()
    }

    #[test]
    fn a_brand_takes_in_its_products_and_the_rules_of_one_scope_are_one() {
        let all = [
            active("brand=b", "volume", None),
            active("brand=b", "negative_share", None),
            active("product=p", "volume", None),
            active("brand=b,topic=t", "negative_share", None),
        ];
        assert_eq!(told(&all), ["brand=b volume"], "which was told of first");
        let mut pending = all.clone();
        pending.iter_mut().for_each(|one| one.state = AlertState::Pending.into());
        assert_eq!(told(&pending), ["brand=b negative_share"]);
    }

    #[test]
    fn a_product_that_explains_its_brand_leads() {
        let mut brand = active("brand=b", "volume", Some("product=p"));
        brand.state = AlertState::Pending.into();
        assert_eq!(told(&[brand.clone(), active("product=p", "volume", None)]), ["product=p volume"]);
        // Nobody else tells of it.
        assert_eq!(told(&[active("brand=b,topic=t", "volume", None), active("brand=b", "volume", None)]).len(), 1);
    }

    #[test]
    fn who_was_found_first_leads_before_anybody_fires() {
        let mut product = active("product=p", "volume", None);
        product.state = AlertState::Pending.into();
        let brand =
            Active { scope: "brand=b".into(), id: "brand=b volume".into(), found_ms: 60_000, ..product.clone() };
        assert_eq!(told(&[product.clone(), brand.clone()]), ["product=p volume"]);
        assert_eq!(told(&[product, Active { found_ms: 0, ..brand }]), ["brand=b volume"], "found together");
    }

    #[test]
    fn what_is_provisional_inhibits_nothing_that_is_confirmed() {
        let mut group = Group::default();
        group.put(active("product=p", "volume", None), 0, &settings());
        group.put(Active { state: AlertState::Resolved.into(), ..active("product=p", "volume", None) }, 0, &settings());
        let before = group.clone();
        let brand = active("brand=b", "volume", None);
        assert_eq!(group.look_ahead(brand.clone(), 7_200_000, &settings()), None);
        let product = active("product=p", "volume", None);
        assert_eq!(group.look_ahead(product.clone(), 7_200_000, &settings()), Some("brand=b volume".into()));
        assert_eq!((&group.active, &group.last_leader), (&before.active, &before.last_leader));
        group.decided(&brand.id);
        group.decided(&product.id);
        assert_eq!(group, before);
    }

    #[test]
    fn what_another_group_explains_is_left_to_it() {
        let all = [active("all", "volume", Some("brand=b")), active("of=clicks", "clicks", Some("product=p"))];
        assert_eq!(told(&all), [""; 0]);
        let mut group = Group::default();
        all.iter().for_each(|one| drop(group.put(one.clone(), 0, &settings())));
        // As scope and rule, like any other.
        assert_eq!(group.inhibits("all volume"), Some("brand=b volume".into()));
        assert_eq!(group.inhibits("of=clicks clicks"), Some("of=clicks,product=p clicks".into()));
        assert_eq!(
            told(&[active("all", "volume", None), active("topic=t", "volume", Some("brand=b"))]),
            ["all volume"]
        );
    }

    #[test]
    fn an_anomaly_of_everything_that_a_product_explains_is_left_to_the_rule_for_surges() {
        let mut settings = settings();
        let volume = settings.rules.iter().find(|rule| rule.name == "volume").unwrap().clone();
        let (name, scopes) = ("unusual_volume".to_owned(), vec![ScopeKind::All]);
        settings.rules.push(AlertRule { name, scopes, looks_for: LooksFor::Anomaly, ..volume });
        let mut group = Group::default();
        group.put(active("all", "unusual_volume", Some("product=p")), 0, &settings);
        assert_eq!(group.inhibits("all unusual_volume"), Some("product=p volume".into()));
        // Hours later something is still out of the ordinary, and nothing new is said of it.
        group.put(active("all", "unusual_volume", None), 30_000_000, &settings);
        assert_eq!(group.inhibits("all unusual_volume"), Some("product=p volume".into()));
        group.put(active("all", "volume", Some("product=p")), 0, &settings);
        group.put(active("all", "volume", None), 30_000_000, &settings);
        assert_eq!(group.inhibits("all volume"), None);
    }

    #[test]
    fn what_has_nothing_to_do_with_the_one_that_leads_is_told_of() {
        let told_of = told(&[active("topic=a", "volume", None), active("topic=b", "volume", None)]);
        assert_eq!(told_of, ["topic=a volume", "topic=b volume"]);
        let stops = Active { less: true, ..active("of=purchases", "unusual_purchases", None) };
        let told_of = told(&[active("of=clicks", "clicks", None), stops, active("of=purchases", "purchases", None)]);
        assert_eq!(told_of, ["of=clicks clicks", "of=purchases unusual_purchases"]);
        let few =
            Active { few: true, state: AlertState::Pending.into(), ..active("of=clicks,category=a", "clicks", None) };
        assert_eq!(told(&[few, active("of=clicks", "clicks", None)]), ["of=clicks clicks"]);
        let part = Active { found_ms: -1, severity: 1, ..active("topic=a", "volume", None) };
        let everything = |severity| Active { severity, ..active("all", "volume", None) };
        assert_eq!(told(&[part.clone(), everything(1)]), ["topic=a volume"]);
        assert_eq!(told(&[part, everything(2)]), ["topic=a volume", "all volume"]);
    }

    #[test]
    fn what_another_group_has_explained_stays_so_for_a_while() {
        let mut group = Group::default();
        let all = |explained| active("all", "volume", explained);
        group.put(all(Some("brand=b")), 0, &settings());
        group.put(all(Some("brand=b")), 600_000, &settings());
        for now_ms in [660_000, 2_340_000] {
            group.put(all(None), now_ms, &settings());
            assert_eq!(group.inhibits("all volume"), Some("brand=b volume".into()), "{now_ms}");
        }
        group.put(all(None), 2_400_000, &settings());
        assert_eq!(group.inhibits("all volume"), None, "half an hour later it is more than that");
    }

    #[test]
    fn when_the_one_that_was_told_of_ends_the_next_takes_over() {
        let mut group = Group::default();
        group.put(active("brand=b", "volume", None), 0, &settings());
        group.put(active("product=p", "volume", None), 0, &settings());
        assert_eq!(group.inhibits("product=p volume"), Some("brand=b volume".into()));
        let taken_in: Vec<String> = group.taken_in_by("brand=b volume").iter().map(named).collect();
        assert_eq!(taken_in, ["product=p volume"]);
        let mut ended = active("brand=b", "volume", None);
        ended.state = AlertState::Resolved.into();
        // Not before it is clear that this is more than the tail of the same incident.
        assert_eq!(group.put(ended, 1_000, &settings()), []);
        assert_eq!(group.inhibits("product=p volume"), Some("brand=b volume".into()));
        group.put(active("product=p", "volume", None), 1_000 + 5_400_000, &settings());
        assert_eq!(group.inhibits("product=p volume"), None);
    }

    /// What a long window finds only now, and what another group seems to explain for a while, are of the incident that has
    /// ended; what is broader, or began later, is another.
    #[test]
    fn the_tail_of_an_incident_is_not_told_of_again() {
        const MINUTE: i64 = 60_000;
        let mut group = Group::default();
        group.put(active("product=p", "volume", None), 0, &settings());
        let other = |explained| Active { found_ms: 50 * MINUTE, ..active("brand=b,topic=t", "volume", explained) };
        group.put(other(None), 50 * MINUTE, &settings());
        let ended = Active { state: AlertState::Resolved.into(), ..active("product=p", "volume", None) };
        group.put(ended, 60 * MINUTE, &settings());
        for (minute, explained) in [(61, Some("product=p")), (62, None), (119, None)] {
            group.put(other(explained), minute * MINUTE, &settings());
            assert_eq!(group.inhibits(&other(None).id), Some("product=p volume".into()), "{minute}");
        }
        let late = |scope: &str, since: i64| Active {
            found_ms: 70 * MINUTE,
            since_ms: since * MINUTE,
            ..active(scope, "volume", None)
        };
        let inhibits = |late: Active| {
            let mut group = group.clone();
            group.put(late.clone(), 70 * MINUTE, &settings());
            group.inhibits(&late.id)
        };
        assert_eq!(inhibits(late("product=q", 30)), Some("product=p volume".into()));
        assert_eq!(inhibits(late("product=q", 65)), None);
        assert_eq!(inhibits(late("brand=b", 30)), None);
        assert_eq!(inhibits(late("product=p", 30)), None, "it comes back itself");
    }

    fn matching(name: &str, value: &str) -> Matching {
        Matching::parse(&[(name.to_owned(), value.to_owned())].into()).unwrap()
    }

    #[test]
    fn inhibitions_of_the_configuration_come_first() {
        let inhibition = Inhibition {
            name: "i".into(),
            source: matching("product", "p"),
            target: matching("product", ""),
            equal: Vec::new(),
        };
        let settings = Alerts { inhibitions: vec![inhibition], ..settings() };
        let mut group = Group::default();
        group.put(active("brand=b", "volume", None), 0, &settings);
        group.put(active("product=p", "volume", None), 0, &settings);
        assert_eq!(group.inhibits("brand=b volume"), Some("product=p volume".into()));
    }

    #[test]
    fn what_is_both_sides_of_an_inhibition_is_not_inhibited_by_its_like() {
        let inhibition = Inhibition {
            name: "i".into(),
            source: matching("product", "*"),
            target: matching("rule", "volume"),
            equal: Vec::new(),
        };
        let settings = Alerts { inhibitions: vec![inhibition], ..settings() };
        let mut group = Group::default();
        for product in ["product=p", "product=q"] {
            group.put(active(product, "volume", None), 0, &settings);
        }
        // The first leads, as without the inhibition, and the other is not its source.
        assert_eq!(group.inhibits("product=p volume"), None);
        assert_eq!(group.inhibits("product=q volume"), Some("product=p volume".into()));
        group.put(active("product=r", "negative_share", None), 0, &settings);
        assert_eq!(group.inhibits("product=p volume"), Some("product=r negative_share".into()));
    }

    #[test]
    fn a_group_is_bounded() {
        let mut group = Group::default();
        for i in 0..1_000 {
            group.put(active(&format!("product={i}"), "volume", None), 0, &settings());
        }
        assert_eq!(group.active.len(), ACTIVE_MAX);
        assert_eq!(group.inhibits("product=999 volume"), Some("product=0 volume".into()));
    }
}
