//! What is asked about a user from outside: read from what is committed, with nothing changed by it.

use serde::Serialize;

use super::profile;
use super::session::Placed;
use super::state::{USERS, User};
use super::view::{Known, View};
use super::{ClicksStage, Rules, SessionSoFar};
use crate::event::v1;
use crate::state::ReadTables;

/// The sessions of a user that a click may still reach.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sessions {
    pub user: String,
    /// The newest first; none where all are over.
    pub sessions: Vec<v1::ClickSession>,
}

impl ClicksStage {
    /// The name under which a user is remembered.
    pub fn remembered_as(&self, user: &str) -> String {
        self.redactor.user(user).unwrap_or_else(|| user.to_owned())
    }

    /// As of the user's last click. `tables`: what `observe` has put.
    pub fn profile(&self, tables: &mut impl ReadTables, name: &str) -> Option<v1::Profile> {
        let user = known(tables, name)?;
        let (row, mut profile) = profile::as_of_last(tables, name, &user, &Rules::from(&self.settings));
        let segment = self.segments.as_ref().and_then(|segments| segments.nearest(&row));
        self.name_segment(&mut profile, segment);
        profile.reviews = self.reviews_of(name);
        Some(profile)
    }

    /// As of the partition's clock. `tables`: what `observe` has put.
    pub fn sessions(&self, tables: &mut impl ReadTables, name: &str) -> Option<Sessions> {
        sessions(tables, name, &Rules::from(&self.settings))
    }
}

fn sessions(tables: &mut impl ReadTables, name: &str, rules: &Rules) -> Option<Sessions> {
    let mut user = known(tables, name)?;
    user.close(tables.stream_time(), rules);
    let sessions = (0..user.sessions.len()).rev().filter_map(|place| so_far(&user, place, rules)).map(Into::into);
    Some(Sessions { user: name.to_owned(), sessions: sessions.collect() })
}

fn known(tables: &mut impl ReadTables, name: &str) -> Option<User> {
    USERS.get(tables, name)
}

fn so_far(user: &User, place: usize, rules: &Rules) -> Option<SessionSoFar> {
    let known = Known::default();
    let view = View::new(user, place, &known, rules)?;
    let placed = Placed { session: place, late: false, merged: None };
    Some(SessionSoFar::new(&user.sessions[place], &placed, &view))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::clicks::tests::click;
    use crate::stages::clicks::{Observed, kinds, observe};
    use crate::state::{Kinds, Side, State};

    const MINUTE: i64 = 60_000;

    fn observed(state: &mut State, sequence: u64, user: &str, at_ms: i64, action: &str) -> Observed {
        let click = click(user, at_ms, action, "p-1");
        state.observe(sequence, |view| observe(view, &Rules::default(), &click, &mut Vec::new()))
    }

    fn commit(state: &mut State, through: u64) {
        state.cut(through);
        state.committed();
    }

    fn sessions_of(state: &mut State, user: &str) -> Option<Vec<v1::ClickSession>> {
        let found = sessions(&mut state.committed_of(Side::Observe), user, &Rules::default())?;
        assert_eq!(found.user, user);
        Some(found.sessions)
    }

    fn profile_of(state: &mut State, user: &str) -> Option<v1::Profile> {
        let tables = &mut state.committed_of(Side::Observe);
        let found = known(tables, user)?;
        Some(profile::as_of_last(tables, user, &found, &Rules::default()).1)
    }

    /// What is looked up is what was emitted at the last click, once that is committed and not before.
    #[test]
    fn what_was_told_at_the_last_committed_click_is_found() {
        let rules = Rules::default();
        let mut state = State::unbounded(Kinds::new(&kinds()), rules.grace_ms);
        let mut before = (None, None);
        for (sequence, (at, action)) in
            [(0, "view"), (7, "cart"), (12, "purchase"), (90, "view")].into_iter().enumerate()
        {
            let Observed::Counted(session, seen) = observed(&mut state, sequence as u64, "u", at * MINUTE, action)
            else {
                panic!("too late")
            };
            assert_eq!((sessions_of(&mut state, "u"), profile_of(&mut state, "u")), before, "not committed yet");
            commit(&mut state, sequence as u64);
            let (sessions, profile) = (sessions_of(&mut state, "u").unwrap(), profile_of(&mut state, "u"));
            assert_eq!(sessions[0], v1::ClickSession::from(session));
            assert_eq!(seen.profile.map(|profile| *profile), profile, "one is due at each of them");
            before = (Some(sessions), profile);
        }
        assert_eq!(sessions_of(&mut state, "somebody"), None);
    }

    #[test]
    fn a_session_that_no_click_can_reach_any_more_is_not_told() {
        let rules = Rules::default();
        let mut state = State::unbounded(Kinds::new(&kinds()), rules.grace_ms);
        observed(&mut state, 0, "u", 0, "view");
        commit(&mut state, 0);
        assert_eq!(sessions_of(&mut state, "u").unwrap().len(), 1);
        // Another user's click moves the partition's clock.
        observed(&mut state, 1, "v", rules.gap_ms + rules.grace_ms + 1, "view");
        commit(&mut state, 1);
        assert_eq!(sessions_of(&mut state, "u"), Some(Vec::new()));
        assert_eq!(profile_of(&mut state, "u").unwrap().clicks, 1);
    }
}
