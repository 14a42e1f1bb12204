//! Time zones, and instants as their clocks and calendars show them.

use std::fmt;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase, TimeZoneTransition};

use firehose_calendar::{self as calendar, DAY_SECONDS, Date};

/// What Java calls zones, in winter and in summer: its names follow from the zone, where the IANA database
/// has a number for a name.
const NAMES: &str = include_str!("zone-names.tsv");

/// 400 years in seconds.
const CYCLE: i64 = calendar::CYCLE_DAYS as i64 * DAY_SECONDS;

/// A time zone and the name it was asked for by.
#[derive(Clone, Debug)]
pub struct Zone {
    pub(super) name: String,
    zone: TimeZone,
    /// Java's short names in winter and in summer, if it knows the zone.
    short: Option<[&'static str; 2]>,
}

/// An instant as a zone's clock and calendar show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Second of the epoch.
    pub(super) instant: i64,
    /// Seconds east of UTC.
    pub(super) offset: i32,
    pub(super) date: Date,
    /// From 0, a Sunday, to 6.
    pub(super) weekday: i32,
    pub(super) second_of_day: i32,
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self::named("UTC", TimeZone::UTC)
    }

    /// The IANA zone of that name; `None` and the empty name mean UTC.
    pub fn find(name: Option<&str>) -> Result<Self, String> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(Self::utc());
        };
        // The machine's zones are the newer ones; what it lacks is among our own.
        let zone = TimeZone::get(name)
            .or_else(|_| TimeZoneDatabase::bundled().get(name))
            .map_err(|_| format!("\"{name}\" is no time zone of the IANA database"))?;
        Ok(Self::named(name, zone))
    }

    fn named(name: &str, zone: TimeZone) -> Self {
        let wanted = zone.iana_name().unwrap_or(name);
        let short = NAMES.lines().find_map(|line| {
            let mut fields = line.split('\t');
            let short = [fields.next()?, fields.next()?];
            fields
                .next()?
                .split(' ')
                .any(|zone| zone == wanted)
                .then_some(short)
        });
        Self {
            name: name.into(),
            zone,
            short,
        }
    }

    /// The instant in this zone; what lies beyond the years 1 to 9999 is moved to their edge.
    pub fn at(&self, epoch_second: i64) -> Local {
        const EDGES: RangeInclusive<i64> = calendar::SECONDS;
        let instant = epoch_second.clamp(*EDGES.start(), *EDGES.end());
        let offset = self.zone.to_offset(timestamp(instant)).seconds();
        let local = instant + i64::from(offset);
        let [day, second_of_day] = [local.div_euclid(DAY_SECONDS), local.rem_euclid(DAY_SECONDS)]
            .map(|number| i32::try_from(number).unwrap_or(0));
        Local {
            instant,
            offset,
            date: Date::of_day(day),
            weekday: calendar::weekday(day.into()),
            second_of_day,
        }
    }

    /// The zone's distance from UTC at an instant, in seconds.
    pub fn offset_seconds(&self, epoch_second: i64) -> i64 {
        self.at(epoch_second).offset.into()
    }

    /// The first second behind this one at which the zone's offset or its name changes.
    pub(super) fn next_change(&self, epoch_second: i64) -> Option<i64> {
        let change = self.zone.following(timestamp(epoch_second)).next()?;
        // At the end of the calendar others are asked for.
        Some(change.timestamp().as_second()).filter(|change| *change > epoch_second)
    }

    /// The short name at an instant, as Java has it; the IANA database's where Java has none.
    pub(super) fn write_short_name(&self, instant: i64, out: &mut String) {
        let at = timestamp(instant);
        match self.short {
            Some([winter, summer]) if winter == summer => out.push_str(winter),
            Some([winter, summer]) => {
                out.push_str(if self.is_summer(at) { summer } else { winter });
            }
            None => out.push_str(self.zone.to_offset_info(at).abbreviation()),
        }
    }

    /// Whether clocks are ahead of the zone's standard time.
    ///
    /// The database lets some zones (Ireland, Morocco) be behind it in winter, instead; Java turns that
    /// round. Such a winter is told by the standard time next to it, which is further east.
    fn is_summer(&self, at: Timestamp) -> bool {
        let info = self.zone.to_offset_info(at);
        let (offset, saves) = (info.offset(), info.dst().is_dst());
        let neighbour = self.zone.following(at).next();
        let neighbour = neighbour.or_else(|| {
            // The one that ended with the last change.
            let change = self.zone.preceding(at).next()?;
            self.zone.preceding(change.timestamp()).next()
        });
        let is_turned = |next: TimeZoneTransition<'_>| {
            let nearer = if saves {
                next.offset() > offset
            } else {
                next.offset() < offset
            };
            nearer && next.dst().is_dst() != saves
        };
        saves != neighbour.is_some_and(is_turned)
    }
}

/// jiff's instants end two hours before 9999 does. For what is beyond, the rules of 400 years before are asked: they
/// depend on the days of the week, which are the same.
fn timestamp(instant: i64) -> Timestamp {
    Timestamp::from_second(instant)
        .or_else(|_| Timestamp::from_second(instant - CYCLE))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

impl fmt::Display for Local {
    /// RFC 3339, of UTC.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Date { year, month, day } = self.date;
        let [hour, minute, second] = self.clock();
        write!(
            out,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

impl Local {
    /// Hour, minute, second.
    pub(super) const fn clock(&self) -> [i32; 3] {
        let second = self.second_of_day;
        [second / 3600, second / 60 % 60, second % 60]
    }
}
