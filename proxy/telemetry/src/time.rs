//! RFC 3339 time without a library: a record is formatted some ten thousand times a second.

const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Length of `2026-01-02T03:04:05.123456Z`.
pub(crate) const TIME_LEN: usize = 27;

/// Writes times that come one after the other: of most only the microseconds are new.
#[derive(Debug)]
pub(crate) struct Clock {
    second: u64,
    text: [u8; TIME_LEN],
}

impl Default for Clock {
    fn default() -> Self {
        Self { second: 0, text: rfc3339(0) }
    }
}

impl Clock {
    /// As [`rfc3339`].
    pub(crate) fn rfc3339(&mut self, time_ns: u64) -> &[u8] {
        let second = time_ns / NS_PER_SECOND;
        if second == self.second {
            digits(&mut self.text[20..26], time_ns % NS_PER_SECOND / 1000);
        } else {
            *self = Self { second, text: rfc3339(time_ns) };
        }
        &self.text
    }
}

/// `time_ns` (nanoseconds since the Unix epoch, UTC) as RFC 3339 with microseconds.
pub(crate) fn rfc3339(time_ns: u64) -> [u8; TIME_LEN] {
    let seconds = time_ns / NS_PER_SECOND;
    let (year, month, day) = civil(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let mut out = *b"0000-00-00T00:00:00.000000Z";
    digits(&mut out[0..4], year);
    digits(&mut out[5..7], month);
    digits(&mut out[8..10], day);
    digits(&mut out[11..13], of_day / 3600);
    digits(&mut out[14..16], of_day / 60 % 60);
    digits(&mut out[17..19], of_day % 60);
    digits(&mut out[20..26], time_ns % NS_PER_SECOND / 1000);
    out
}

/// Year, month and day of a day counted from 1970-01-01 (proleptic Gregorian calendar, by
/// counting years from 1 March so that the leap day is the last of its year).
fn civil(days: u64) -> (u64, u64, u64) {
    let since_0000_03_01 = days + 719_468;
    let era = since_0000_03_01 / 146_097;
    let of_era = since_0000_03_01 % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Fills `out` with the last digits of `value`.
fn digits(out: &mut [u8], mut value: u64) {
    for byte in out.iter_mut().rev() {
        *byte = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
}

#[cfg(test)]
mod tests;
