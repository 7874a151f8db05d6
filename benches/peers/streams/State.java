import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/**
 * What the job remembers, and how it is written: numbers of variable length by hand, which is smaller and quicker than
 * JSON, Avro or Java's own serialisation. Only what the model's features need is kept.
 */
final class State {
    static final int VIEW = 1, CART = 2, FAVOURITE = 3, PURCHASE = 4, IMPRESSION = 5, REMOVE = 6;
    static final long GAP_MS = 30 * 60_000, GRACE_MS = 10 * 60_000, DAY_MS = 86_400_000;
    /** A longer session is remembered by its last clicks and sums of those before. */
    static final int CLICKS_MAX = 128, ITEMS_MAX = 64, CATEGORIES_MAX = 32;

    static final Serde<User> USER = serde(User::write, User::read);
    static final Serde<Entity> ENTITY = serde(Entity::write, Entity::read);

    private State() {}

    /** Clicks by action. */
    static final class Tally {
        int views, carts, favourites, purchases, impressions, removes;

        int clicks() {
            return views + carts + favourites + purchases + impressions + removes;
        }

        void count(int action) {
            switch (action) {
                case CART -> carts++;
                case FAVOURITE -> favourites++;
                case PURCHASE -> purchases++;
                case IMPRESSION -> impressions++;
                case REMOVE -> removes++;
                default -> views++;
            }
        }

        void add(Tally other) {
            views += other.views;
            carts += other.carts;
            favourites += other.favourites;
            purchases += other.purchases;
            impressions += other.impressions;
            removes += other.removes;
        }

        void write(Out out) {
            out.number(views).number(carts).number(favourites).number(purchases).number(impressions).number(removes);
        }

        static Tally read(In in) {
            Tally tally = new Tally();
            tally.views = in.count();
            tally.carts = in.count();
            tally.favourites = in.count();
            tally.purchases = in.count();
            tally.impressions = in.count();
            tally.removes = in.count();
            return tally;
        }
    }

    /** A click within a session; category 0 where there is none. */
    static final class Past {
        long atMs, item, category;
        int action;
        /** A purchase followed it. */
        boolean followed;

        Past(long atMs, int action, long item, long category) {
            this.atMs = atMs;
            this.action = action;
            this.item = item;
            this.category = category;
        }

        void write(Out out) {
            out.number(atMs).number(action << 1 | (followed ? 1 : 0)).id(item).id(category);
        }

        static Past read(In in) {
            long atMs = in.number();
            int action = in.count();
            Past past = new Past(atMs, action >> 1, in.id(), in.id());
            past.followed = (action & 1) == 1;
            return past;
        }
    }

    /** Clicks of one user with no gap of half an hour between them, by time. */
    static final class Session {
        long id;
        int revision;
        List<Past> clicks = new ArrayList<>();
        /** The clicks that are no longer remembered one by one. */
        Tally dropped = new Tally();
        long droppedFirstMs;
        int droppedItems, droppedCategories, droppedFollowed, droppedGapSeconds;

        long firstMs() {
            return dropped.clicks() > 0 ? droppedFirstMs : clicks.get(0).atMs;
        }

        long lastMs() {
            return clicks.get(clicks.size() - 1).atMs;
        }

        Tally tally() {
            Tally tally = new Tally();
            tally.add(dropped);
            clicks.forEach(click -> tally.count(click.action));
            return tally;
        }

        boolean reaches(long atMs) {
            return atMs >= firstMs() - GAP_MS && atMs <= lastMs() + GAP_MS;
        }

        /** True where later clicks were there already. */
        boolean insert(Past click) {
            int place = clicks.size();
            while (place > 0 && clicks.get(place - 1).atMs > click.atMs) {
                place--;
            }
            clicks.add(place, click);
            return place + 1 < clicks.size();
        }

        /** Takes in a session that began after this one ended. */
        void append(Session later) {
            revision = Math.max(revision, later.revision);
            if (later.dropped.clicks() > 0) {
                List<Past> before = clicks;
                clicks = new ArrayList<>();
                before.forEach(this::drop);
                dropped.add(later.dropped);
                droppedItems += later.droppedItems;
                droppedCategories += later.droppedCategories;
                droppedFollowed += later.droppedFollowed;
                droppedGapSeconds = Math.max(droppedGapSeconds, later.droppedGapSeconds);
            }
            clicks.addAll(later.clicks);
        }

        void trim() {
            while (clicks.size() > CLICKS_MAX) {
                Past first = clicks.remove(0);
                drop(first);
                int gapSeconds = (int) ((clicks.get(0).atMs - first.atMs) / 1000);
                droppedGapSeconds = Math.max(droppedGapSeconds, gapSeconds);
            }
        }

        /** An item that is clicked again among those that stay is counted there. */
        private void drop(Past click) {
            droppedFirstMs = dropped.clicks() == 0 ? click.atMs : Math.min(droppedFirstMs, click.atMs);
            dropped.count(click.action);
            droppedItems += clicks.stream().noneMatch(other -> other.item == click.item) ? 1 : 0;
            boolean newCategory =
                    click.category != 0 && clicks.stream().noneMatch(other -> other.category == click.category);
            droppedCategories += newCategory ? 1 : 0;
            droppedFollowed += click.followed ? 1 : 0;
        }

        /** Marks the clicks that a purchase has followed by now, and says in which categories they were. */
        List<Long> markFollowed() {
            int last = clicks.size() - 1;
            while (last > 0 && clicks.get(last).action != PURCHASE) {
                last--;
            }
            List<Long> categories = new ArrayList<>();
            for (Past click : clicks.subList(0, last)) {
                if (!click.followed) {
                    click.followed = true;
                    categories.add(click.category);
                }
            }
            return categories;
        }

        void write(Out out) {
            out.id(id).number(revision).number(clicks.size());
            clicks.forEach(click -> click.write(out));
            out.number(dropped.clicks());
            if (dropped.clicks() > 0) {
                dropped.write(out);
                out.number(droppedFirstMs).number(droppedItems).number(droppedCategories);
                out.number(droppedFollowed).number(droppedGapSeconds);
            }
        }

        static Session read(In in) {
            Session session = new Session();
            session.id = in.id();
            session.revision = in.count();
            session.clicks = in.list(Past::read);
            if (in.count() > 0) {
                session.dropped = Tally.read(in);
                session.droppedFirstMs = in.number();
                session.droppedItems = in.count();
                session.droppedCategories = in.count();
                session.droppedFollowed = in.count();
                session.droppedGapSeconds = in.count();
            }
            return session;
        }
    }

    /** Sums over sessions that are over. */
    static final class History {
        long firstMs, lastMs, seconds, purchaseMs;
        int sessions, bought, followed;
        Tally tally = new Tally();

        void add(Session session) {
            Tally sums = session.tally();
            firstMs = sessions == 0 ? session.firstMs() : Math.min(firstMs, session.firstMs());
            sessions++;
            bought += sums.purchases > 0 ? 1 : 0;
            tally.add(sums);
            seconds += (session.lastMs() - session.firstMs()) / 1000;
            followed += session.droppedFollowed;
            long boughtMs = 0;
            for (Past click : session.clicks) {
                followed += click.followed ? 1 : 0;
                boughtMs = click.action == PURCHASE ? click.atMs : boughtMs;
            }
            purchaseMs = Math.max(purchaseMs, boughtMs);
            lastMs = Math.max(lastMs, session.lastMs());
        }

        History copy() {
            History copy = new History();
            copy.firstMs = firstMs;
            copy.lastMs = lastMs;
            copy.seconds = seconds;
            copy.purchaseMs = purchaseMs;
            copy.sessions = sessions;
            copy.bought = bought;
            copy.followed = followed;
            copy.tally.add(tally);
            return copy;
        }

        void write(Out out) {
            out.number(firstMs).number(lastMs).number(seconds).number(purchaseMs);
            out.number(sessions).number(bought).number(followed);
            tally.write(out);
        }

        static History read(In in) {
            History history = new History();
            history.firstMs = in.number();
            history.lastMs = in.number();
            history.seconds = in.number();
            history.purchaseMs = in.number();
            history.sessions = in.count();
            history.bought = in.count();
            history.followed = in.count();
            history.tally = Tally.read(in);
            return history;
        }
    }

    /** What a user did to an item or within a category. */
    static final class Memory {
        static final Memory NONE = new Memory(0);
        final long id;
        int clicks, carts, favourites, purchases;
        /** It lies in the cart since then; 0 where it does not. */
        long cartMs;

        Memory(long id) {
            this.id = id;
        }

        void count(int action, long atMs) {
            clicks++;
            switch (action) {
                case CART -> {
                    carts++;
                    cartMs = atMs;
                }
                case FAVOURITE -> favourites++;
                case PURCHASE -> {
                    purchases++;
                    cartMs = 0;
                }
                case REMOVE -> cartMs = 0;
                default -> {}
            }
        }

        void write(Out out) {
            out.id(id).number(clicks).number(carts).number(favourites).number(purchases).number(cartMs);
        }

        static Memory read(In in) {
            Memory memory = new Memory(in.id());
            memory.clicks = in.count();
            memory.carts = in.count();
            memory.favourites = in.count();
            memory.purchases = in.count();
            memory.cartMs = in.number();
            return memory;
        }

        static Memory find(List<Memory> memories, long id) {
            for (Memory memory : memories) {
                if (memory.id == id) {
                    return memory;
                }
            }
            return NONE;
        }

        /** Brings the memory to the front. Without room the oldest leaves, what lies in the cart last of all. */
        static void remember(List<Memory> memories, long id, int action, long atMs, int most) {
            Memory memory = find(memories, id);
            if (memory == NONE) {
                memory = new Memory(id);
            } else {
                memories.remove(memory);
            }
            memory.count(action, atMs);
            if (memories.size() >= most) {
                int leaves = memories.size() - 1;
                while (leaves >= 0 && memories.get(leaves).cartMs != 0) {
                    leaves--;
                }
                memories.remove(leaves < 0 ? memories.size() - 1 : leaves);
            }
            memories.add(0, memory);
        }
    }

    /** What is known of one user. */
    static final class User {
        /** Those that a click may still reach; the others are in the history. */
        List<Session> sessions = new ArrayList<>();
        History history = new History();
        /** Last clicked first. */
        List<Memory> items = new ArrayList<>();
        List<Memory> categories = new ArrayList<>();

        void close(long clockMs) {
            sessions.removeIf(session -> {
                boolean over = session.lastMs() + GAP_MS < clockMs;
                if (over) {
                    history.add(session);
                }
                return over;
            });
        }

        /** The place of the session that the click went to; it may have made one of two. */
        int place(Past click, long newId) {
            int first = 0;
            while (first < sessions.size() && !sessions.get(first).reaches(click.atMs)) {
                first++;
            }
            if (first == sessions.size()) {
                return open(click, newId);
            }
            Session session = sessions.get(first);
            boolean merges = first + 1 < sessions.size() && sessions.get(first + 1).reaches(click.atMs);
            if (merges) {
                session.append(sessions.remove(first + 1));
            }
            boolean late = session.insert(click) || merges;
            session.revision += late ? 1 : 0;
            session.trim();
            return first;
        }

        private int open(Past click, long newId) {
            Session session = new Session();
            session.id = newId;
            session.clicks.add(click);
            int place = 0;
            while (place < sessions.size() && sessions.get(place).firstMs() < click.atMs) {
                place++;
            }
            sessions.add(place, session);
            return place;
        }

        void write(Out out) {
            out.number(sessions.size());
            sessions.forEach(session -> session.write(out));
            history.write(out);
            out.number(items.size());
            items.forEach(memory -> memory.write(out));
            out.number(categories.size());
            categories.forEach(memory -> memory.write(out));
        }

        static User read(In in) {
            User user = new User();
            user.sessions = in.list(Session::read);
            user.history = History.read(in);
            user.items = in.list(Memory::read);
            user.categories = in.list(Memory::read);
            return user;
        }
    }

    /** What all users of the partition did to an item or within a category, or in all. */
    static final class Entity {
        long clicks, carts, favourites, purchases, followed;
        /** Days since 1970, the clicks of that day and of the day before. */
        long day, current, before;

        void count(int action, long atMs) {
            clicks++;
            switch (action) {
                case CART -> carts++;
                case FAVOURITE -> favourites++;
                case PURCHASE -> purchases++;
                default -> {}
            }
            long today = Math.floorDiv(atMs, DAY_MS);
            if (today > day) {
                before = today == day + 1 ? current : 0;
                day = today;
                current = 0;
            }
            current += today == day ? 1 : 0;
            before += today == day - 1 ? 1 : 0;
        }

        /** Hits a click, drawn towards the partition's by twenty clicks. */
        double rate(long hits, Entity all, long allHits) {
            double prior = all.clicks == 0 ? 0.0 : (double) allHits / all.clicks;
            return (hits + 20.0 * prior) / (clicks + 20.0);
        }

        double lastDay(long atMs) {
            double rest = 1.0 - (double) Math.floorMod(atMs, DAY_MS) / DAY_MS;
            long ahead = Math.floorDiv(atMs, DAY_MS) - day;
            return ahead <= 0 ? current + rest * before : ahead == 1 ? rest * current : 0.0;
        }

        void write(Out out) {
            out.number(clicks).number(carts).number(favourites).number(purchases).number(followed);
            out.number(day).number(current).number(before);
        }

        static Entity read(In in) {
            Entity entity = new Entity();
            entity.clicks = in.number();
            entity.carts = in.number();
            entity.favourites = in.number();
            entity.purchases = in.number();
            entity.followed = in.number();
            entity.day = in.number();
            entity.current = in.number();
            entity.before = in.number();
            return entity;
        }
    }

    /** Numbers of 0 or more in seven bits a byte; ids in eight bytes. */
    static final class Out {
        private byte[] bytes = new byte[4096];
        private int length;

        Out number(long value) {
            room(10);
            while ((value & ~0x7FL) != 0) {
                bytes[length++] = (byte) (value | 0x80);
                value >>>= 7;
            }
            bytes[length++] = (byte) value;
            return this;
        }

        Out id(long value) {
            room(8);
            for (int i = 0; i < 8; i++) {
                bytes[length++] = (byte) (value >>> (8 * i));
            }
            return this;
        }

        private void room(int more) {
            if (length + more > bytes.length) {
                bytes = java.util.Arrays.copyOf(bytes, 2 * bytes.length);
            }
        }
    }

    static final class In {
        private final ByteBuffer bytes;

        In(byte[] bytes) {
            this.bytes = ByteBuffer.wrap(bytes).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        }

        long number() {
            long value = 0;
            for (int shift = 0; ; shift += 7) {
                byte part = bytes.get();
                value |= (long) (part & 0x7F) << shift;
                if (part >= 0) {
                    return value;
                }
            }
        }

        int count() {
            return (int) number();
        }

        long id() {
            return bytes.getLong();
        }

        <T> List<T> list(java.util.function.Function<In, T> read) {
            int count = count();
            List<T> list = new ArrayList<>(count + 1);
            for (int i = 0; i < count; i++) {
                list.add(read.apply(this));
            }
            return list;
        }
    }

    private static <T> Serde<T> serde(
            java.util.function.BiConsumer<T, Out> write, java.util.function.Function<In, T> read) {
        ThreadLocal<Out> reused = ThreadLocal.withInitial(Out::new);
        Serializer<T> serializer = (topic, value) -> {
            if (value == null) {
                return null;
            }
            Out out = reused.get();
            out.length = 0;
            write.accept(value, out);
            return java.util.Arrays.copyOf(out.bytes, out.length);
        };
        Deserializer<T> deserializer = (topic, bytes) -> bytes == null ? null : read.apply(new In(bytes));
        return Serdes.serdeFrom(serializer, deserializer);
    }
}
