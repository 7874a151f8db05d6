import static java.util.Map.entry;

import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** The features of a session, seen from its last click; -1 where there is nothing to count from. Times in seconds. */
final class Features {
    private static final double MISSING = -1.0;
    private static final long UTC_OFFSET_MS = 480 * 60_000L;

    final State.Past last;
    final State.Entity item, category, all;
    final State.Tally tally = new State.Tally();
    final State.History history;
    private final State.Memory itemBefore, categoryBefore;
    /** What the last click itself added to the user's memories: it is left out. */
    private final int isCart, isFavourite, isPurchase;

    double seconds, gap = MISSING, gapLongest = MISSING;
    double sinceCart = MISSING, sinceFavourite = MISSING, sincePurchase = MISSING, sinceSession = MISSING;
    int clicksFiveMinutes, repeats, switches, items, categories;
    int itemClicks, categoryClicks, categoryItems, categoryCarts, categoryFavourites, categoryPurchases, run;
    double categorySeconds;
    int cartItems;
    double cartFirst = MISSING, cartLast = MISSING;
    boolean cartHolds;

    /** {@code user} as after the last click; the counts over all users as before it. */
    Features(State.User user, int place, State.Entity item, State.Entity category, State.Entity all) {
        State.Session session = user.sessions.get(place);
        this.item = item;
        this.category = category;
        this.all = all;
        last = session.clicks.get(session.clicks.size() - 1);
        history = user.history.copy();
        user.sessions.subList(0, place).forEach(history::add);
        sinceSession = history.sessions > 0 ? seconds(history.lastMs, session.firstMs()) : MISSING;
        itemBefore = State.Memory.find(user.items, last.item);
        categoryBefore = State.Memory.find(user.categories, last.category);
        isCart = last.action == State.CART ? 1 : 0;
        isFavourite = last.action == State.FAVOURITE ? 1 : 0;
        isPurchase = last.action == State.PURCHASE ? 1 : 0;
        look(session);
        lookIntoCart(user.items);
    }

    private void look(State.Session session) {
        seconds = seconds(session.firstMs(), last.atMs);
        if (session.dropped.clicks() > 0) {
            tally.add(session.dropped);
            items = session.droppedItems;
            categories = session.droppedCategories;
            repeats = Math.max(0, tally.clicks() - items);
            gapLongest = session.droppedGapSeconds;
        }
        for (int i = 0; i < session.clicks.size(); i++) {
            look(session.clicks, i);
        }
    }

    private void look(List<State.Past> clicks, int i) {
        State.Past click = clicks.get(i);
        boolean newItem = true;
        boolean newCategory = click.category != 0;
        for (int j = 0; j < i; j++) {
            newItem &= clicks.get(j).item != click.item;
            newCategory &= clicks.get(j).category != click.category;
        }
        double ago = seconds(click.atMs, last.atMs);
        tally.count(click.action);
        switch (click.action) {
            case State.CART -> sinceCart = ago;
            case State.FAVOURITE -> sinceFavourite = ago;
            case State.PURCHASE -> sincePurchase = ago;
            default -> {}
        }
        items += newItem ? 1 : 0;
        repeats += newItem ? 0 : 1;
        categories += newCategory ? 1 : 0;
        clicksFiveMinutes += ago <= 300.0 ? 1 : 0;
        if (i > 0) {
            State.Past before = clicks.get(i - 1);
            gap = seconds(before.atMs, click.atMs);
            gapLongest = Math.max(gapLongest, gap);
            switches += before.category != click.category ? 1 : 0;
            categorySeconds += before.category == last.category ? gap : 0.0;
        }
        itemClicks += click.item == last.item ? 1 : 0;
        if (click.category != last.category) {
            run = 0;
            return;
        }
        run++;
        categoryClicks++;
        categoryItems += newItem ? 1 : 0;
        categoryCarts += click.action == State.CART ? 1 : 0;
        categoryFavourites += click.action == State.FAVOURITE ? 1 : 0;
        categoryPurchases += click.action == State.PURCHASE ? 1 : 0;
    }

    private void lookIntoCart(List<State.Memory> memories) {
        for (State.Memory memory : memories) {
            if (memory.cartMs > 0) {
                double ago = seconds(memory.cartMs, last.atMs);
                cartFirst = cartItems == 0 ? ago : Math.max(cartFirst, ago);
                cartLast = cartItems == 0 ? ago : Math.min(cartLast, ago);
                cartItems++;
                cartHolds |= memory.id == last.item;
            }
        }
    }

    /** Every feature that the shipped model reads, by its name. */
    static final Map<String, ToDoubleFunction<Features>> BY_NAME = Map.ofEntries(
            entry("is_view", f -> f.last.action == State.VIEW ? 1 : 0),
            entry("is_cart", f -> f.isCart),
            entry("is_favourite", f -> f.isFavourite),
            entry("is_purchase", f -> f.isPurchase),
            entry("hour", f -> Math.floorMod(f.last.atMs + UTC_OFFSET_MS, State.DAY_MS) / 3_600_000.0),
            // 1970-01-01 was a Thursday; 0 is Monday.
            entry("weekday", f -> Math.floorMod(Math.floorDiv(f.last.atMs + UTC_OFFSET_MS, State.DAY_MS) + 3, 7L)),
            entry("clicks", f -> f.tally.clicks()),
            entry("views", f -> f.tally.views),
            entry("carts", f -> f.tally.carts),
            entry("favourites", f -> f.tally.favourites),
            entry("purchases", f -> f.tally.purchases),
            entry("clicks_5_minutes", f -> f.clicksFiveMinutes),
            entry("repeats", f -> f.repeats),
            entry("switches", f -> f.switches),
            entry("items", f -> f.items),
            entry("categories", f -> f.categories),
            entry("seconds", f -> f.seconds),
            entry("gap", f -> f.gap),
            entry("gap_mean", f -> mean(f.seconds, f.tally.clicks() - 1)),
            entry("gap_longest", f -> f.gapLongest),
            entry("since_cart", f -> f.sinceCart),
            entry("since_favourite", f -> f.sinceFavourite),
            entry("since_purchase", f -> f.sincePurchase),
            entry("item_clicks", f -> f.itemClicks),
            entry("category_clicks", f -> f.known(f.categoryClicks)),
            entry("category_share", f -> f.known((double) f.categoryClicks / f.tally.clicks())),
            entry("category_items", f -> f.known(f.categoryItems)),
            entry("category_carts", f -> f.known(f.categoryCarts)),
            entry("category_favourites", f -> f.known(f.categoryFavourites)),
            entry("category_purchases", f -> f.known(f.categoryPurchases)),
            entry("category_seconds", f -> f.known(f.categorySeconds)),
            entry("run", f -> f.known(f.run)),
            entry("cart_items", f -> f.cartItems),
            entry("cart_since_first", f -> f.cartFirst),
            entry("cart_since_last", f -> f.cartLast),
            entry("cart_holds_item", f -> f.cartHolds ? 1 : 0),
            entry("user_sessions", f -> f.history.sessions),
            entry("user_clicks", f -> f.history.tally.clicks()),
            entry("user_carts", f -> f.history.tally.carts),
            entry("user_favourites", f -> f.history.tally.favourites),
            entry("user_purchases", f -> f.history.tally.purchases),
            entry("user_bought", f -> f.history.bought),
            entry("user_bought_rate", f -> (f.history.bought + 2.0 * 0.05) / (f.history.sessions + 2.0)),
            entry("user_followed", Features::userFollowed),
            entry("user_session_clicks", f -> mean(f.history.tally.clicks(), f.history.sessions)),
            entry("user_session_seconds", f -> mean(f.history.seconds, f.history.sessions)),
            entry("user_since_first", f -> f.history.sessions > 0 ? seconds(f.history.firstMs, f.last.atMs) : MISSING),
            entry("user_since_session", f -> f.sinceSession),
            entry("user_since_purchase",
                    f -> f.history.purchaseMs > 0 ? seconds(f.history.purchaseMs, f.last.atMs) : MISSING),
            entry("user_session_gap", f -> mean(seconds(f.history.firstMs, f.last.atMs), f.history.sessions)),
            entry("user_item_clicks", f -> Math.max(0, f.itemBefore.clicks - 1)),
            entry("user_item_carts", f -> Math.max(0, f.itemBefore.carts - f.isCart)),
            entry("user_item_favourites", f -> Math.max(0, f.itemBefore.favourites - f.isFavourite)),
            entry("user_item_purchases", f -> Math.max(0, f.itemBefore.purchases - f.isPurchase)),
            entry("user_category_clicks", f -> f.known(Math.max(0, f.categoryBefore.clicks - 1))),
            entry("user_category_carts", f -> f.known(Math.max(0, f.categoryBefore.carts - f.isCart))),
            entry("user_category_favourites", f -> f.known(Math.max(0, f.categoryBefore.favourites - f.isFavourite))),
            entry("user_category_purchases", f -> f.known(Math.max(0, f.categoryBefore.purchases - f.isPurchase))),
            entry("item_conversion", f -> f.item.rate(f.item.purchases, f.all, f.all.purchases)),
            entry("item_interest", f -> interest(f.item, f.all)),
            entry("category_conversion",
                    f -> f.known(f.category.rate(f.category.purchases, f.all, f.all.purchases))),
            entry("category_interest", f -> f.known(interest(f.category, f.all))),
            entry("category_followed", f -> f.known(f.category.rate(f.category.followed, f.all, f.all.followed))),
            entry("category_popularity", f -> f.known(f.categoryPopularity())));

    private double userFollowed() {
        double prior = all.clicks == 0 ? 0.0 : (double) all.followed / all.clicks;
        return (history.followed + 20.0 * prior) / (history.tally.clicks() + 20.0);
    }

    /** Of a thousand clicks of the last day, how many were in the category. */
    private double categoryPopularity() {
        double whole = all.lastDay(last.atMs);
        return whole > 0.0 ? 1000.0 * category.lastDay(last.atMs) / whole : 0.0;
    }

    private static double interest(State.Entity of, State.Entity all) {
        return of.rate(of.carts + of.favourites, all, all.carts + all.favourites);
    }

    private double known(double value) {
        return last.category == 0 ? MISSING : value;
    }

    private static double mean(double sum, int count) {
        return count > 0 ? sum / count : MISSING;
    }

    private static double seconds(long fromMs, long toMs) {
        return Math.max(0, toMs - fromMs) / 1000.0;
    }
}
