// What java.time of JDK 17 writes: the tables that the date patterns are held against. By hand, once:
//   java JavaTimes.java names > zone-names.tsv     (src/partition/date_pattern)
//   java JavaTimes.java texts > java-17.tsv        (src/partition/date_pattern/tests)

import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.TimeZone;
import java.util.TreeMap;
import java.util.TreeSet;

class JavaTimes {
    static final long FIRST = -62_135_596_800L, LAST = 253_402_300_799L, DAY = 86_400;

    static final String[] CALENDAR = {
        "G GGGG GGGGG y yy yyy yyyy yyyyy u uu uuu uuuu uuuuu Y YY YYY YYYY YYYYY w ww",
        "Q QQ QQQ QQQQ QQQQQ M MM MMM MMMM MMMMM L LL LLL LLLL LLLLL",
        "d dd D DD DDD E EE EEE EEEE EEEEE e ee eee eeee eeeee",
        "a h hh H HH k kk K KK m mm s ss S SSS SSSSSSSSS n nnn",
    };
    static final String CLOCK = "uuuu-MM-dd HH:mm:ss z";
    static final String OFFSETS = "VV zzz Z ZZZZ ZZZZZ X XX XXX XXXX XXXXX x xx xxx xxxx xxxxx";

    static final String[] ZONES = {
        "UTC", "Etc/GMT+12", "Etc/GMT-14", "Etc/UTC", "GMT", "Africa/Abidjan", "Africa/Casablanca",
        "Africa/Johannesburg", "Africa/Monrovia", "Africa/Windhoek", "America/Argentina/Buenos_Aires",
        "America/Caracas", "America/Juneau", "America/New_York", "America/Sao_Paulo", "America/St_Johns",
        "Antarctica/Troll", "Asia/Dubai", "Asia/Istanbul", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Pyongyang",
        "Asia/Shanghai", "Asia/Tehran", "Asia/Tokyo", "Atlantic/Azores", "Australia/Lord_Howe",
        "Europe/Berlin", "Europe/Dublin", "Europe/London", "Europe/Moscow", "Europe/Prague",
        "Pacific/Apia", "Pacific/Chatham", "Pacific/Kiritimati",
    };

    public static void main(String[] what) {
        if (what[0].equals("names")) {
            names();
        } else {
            texts();
        }
    }

    // Short names in winter and in summer, and the zones that have them.
    static void names() {
        var groups = new TreeMap<String, List<String>>();
        for (String id : new TreeSet<>(ZoneId.getAvailableZoneIds())) {
            var zone = TimeZone.getTimeZone(id);
            String names = zone.getDisplayName(false, TimeZone.SHORT, Locale.US) + "\t"
                + zone.getDisplayName(true, TimeZone.SHORT, Locale.US);
            groups.computeIfAbsent(names, key -> new ArrayList<>()).add(id);
        }
        groups.forEach((names, ids) -> System.out.println(names + "\t" + String.join(" ", ids)));
    }

    // A line that begins with a tab holds the pattern of the lines after it: zone, second, text.
    static void texts() {
        var days = new TreeSet<Long>(List.of(FIRST, FIRST + 1, -1L, 0L, 1L, LAST));
        for (int year : new int[] {1, 2, 4, 100, 400, 999, 1000, 1582, 1600, 1899, 1900, 1904, 1969, 1999, 2000,
            2016, 2020, 2021, 2022, 2023, 2024, 2025, 2026, 2027, 2028, 2100, 9998, 9999}) {
            var start = LocalDate.of(year, 1, 1);
            for (var day : List.of(start, start.plusDays(3), start.plusDays(6), start.plusDays(58),
                start.plusDays(59), start.withMonth(7), start.withMonth(10).plusDays(14),
                start.plusYears(1).minusDays(6), start.plusYears(1).minusDays(1))) {
                days.add(day.toEpochDay() * DAY + (day.toEpochDay() * 7_919 & 0x7fff_ffff) % DAY);
            }
        }
        for (String pattern : CALENDAR) {
            header(pattern);
            for (String id : List.of("UTC", "Etc/GMT-14", "Etc/GMT+12")) {
                for (long at : days) {
                    boolean edge = at < FIRST + DAY || at > LAST - 7 * DAY;
                    if (id.equals("UTC") || edge) {
                        line(pattern, id, at);
                    }
                }
            }
        }
        for (String pattern : List.of(CLOCK, OFFSETS)) {
            header(pattern);
            for (String id : ZONES) {
                for (long at : instants(ZoneId.of(id), pattern.equals(CLOCK))) {
                    line(pattern, id, at);
                }
            }
        }
    }

    // The edges of the calendar, and both sides of changes of the offset.
    static TreeSet<Long> instants(ZoneId zone, boolean all) {
        long lastOfJiff = LAST - 93_599; // 9999-12-30T22:00:00Z: where its instants end
        var instants = new TreeSet<Long>(List.of(FIRST, FIRST + 50_400, -4_000_000_000L, 0L, 1_783_915_506L, LAST));
        if (all) {
            instants.addAll(List.of(FIRST + 43_199, -2_000_000_000L, -1_000_000_000L, -1L, 500_000_000L,
                1_483_228_799L, lastOfJiff, lastOfJiff + 1, LAST - 50_400, LAST - 43_200, LAST - 1));
        }
        for (int year : all ? new int[] {1890, 1945, 1979, 2011, 2023, 9998} : new int[] {1890, 2023}) {
            var from = LocalDate.of(year, 1, 1).atStartOfDay(ZoneOffset.UTC).toInstant();
            for (int count = 0; count < 2; count++) {
                var change = zone.getRules().nextTransition(from);
                if (change == null || change.toEpochSecond() > from.getEpochSecond() + 3_000 * DAY) {
                    break;
                }
                instants.add(change.toEpochSecond() - 1);
                instants.add(change.toEpochSecond());
                from = change.getInstant();
            }
        }
        return instants;
    }

    static void header(String pattern) {
        System.out.println("\t" + pattern);
    }

    static void line(String pattern, String id, long at) {
        var format = DateTimeFormatter.ofPattern(pattern, Locale.US);
        System.out.println(id + "\t" + at + "\t" + format.format(Instant.ofEpochSecond(at).atZone(ZoneId.of(id))));
    }
}
