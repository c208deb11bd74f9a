//! Words of the command line and of fault plans: spans of time, shares, ranges.

use core::time::Duration;
use thiserror::Error;

/// A word that is none of these.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WordError {
    /// No span of time.
    #[error("`{0}` is no span of time; write 250ms, 2s, 1.5s or 2m, or seconds without a unit")]
    Span(String),
    /// No share.
    #[error("`{0}` is no share; write a number from 0 to 1, such as 0.05")]
    Share(String),
    /// No range.
    #[error("`{0}` is no range of milliseconds; write 5..40, or one number for a fixed delay")]
    Range(String),
}

/// The longest span that anybody needs: a day.
const SECONDS_MAX: f64 = 86_400.0;

/// Reads a span of time; without a unit it is in seconds.
pub fn span(word: &str) -> Result<Duration, WordError> {
    let refused = || WordError::Span(word.to_owned());
    let (number, scale) = match word.trim() {
        text if text.ends_with("ms") => (&text[..text.len() - 2], 0.001),
        text if text.ends_with('s') => (&text[..text.len() - 1], 1.0),
        text if text.ends_with('m') => (&text[..text.len() - 1], 60.0),
        text => (text, 1.0),
    };
    let seconds = number.trim().parse::<f64>().map_err(|_| refused())? * scale;
    match (0.0..=SECONDS_MAX).contains(&seconds) {
        // To the microsecond, so that a sum of spans has no traces of binary fractions.
        true => Ok(Duration::from_micros((seconds * 1e6).round() as u64)),
        false => Err(refused()),
    }
}

/// Reads a share, as parts of a million.
pub fn share(word: &str) -> Result<u32, WordError> {
    let number = word.trim().parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    let number = number.ok_or_else(|| WordError::Share(word.to_owned()))?;
    Ok((number * 1e6).round() as u32)
}

/// Reads a range of milliseconds.
pub fn range(word: &str) -> Result<(Duration, Duration), WordError> {
    let refused = || WordError::Range(word.to_owned());
    let (least, most) = word.split_once("..").unwrap_or((word, word));
    let milliseconds = |text: &str| {
        let text = text.trim().trim_end_matches("ms").trim();
        let number = text.parse::<f64>().ok()?;
        span(&format!("{}", number / 1000.0)).ok()
    };
    let least = milliseconds(least).ok_or_else(refused)?;
    let most = milliseconds(most).ok_or_else(refused)?;
    match least <= most {
        true => Ok((least, most)),
        false => Err(refused()),
    }
}

/// A span in words that [`span`] reads: milliseconds below a second.
#[must_use]
pub fn said(span: Duration) -> String {
    let milliseconds = span.as_secs_f64() * 1000.0;
    match milliseconds < 1000.0 {
        true => format!("{milliseconds}ms"),
        false => format!("{}s", milliseconds / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units_and_bounds() {
        let ms = Duration::from_millis;
        let good = [("250ms", 250), ("2s", 2000), ("1.5", 1500), ("0.05", 50), ("2m", 120_000)];
        for (word, milliseconds) in good {
            assert_eq!(span(word), Ok(ms(milliseconds)), "{word}");
        }
        for word in ["", "s", "-1s", "two", "1h", "99999999", "NaN", "inf"] {
            assert_eq!(span(word), Err(WordError::Span(word.to_owned())), "{word}");
        }
        for milliseconds in [0, 7, 250, 1500, 25_000] {
            assert_eq!(span(&said(ms(milliseconds))), Ok(ms(milliseconds)));
        }
    }

    #[test]
    fn shares_and_ranges_are_read_or_refused() {
        assert_eq!((share("0.05"), share("1")), (Ok(50_000), Ok(1_000_000)));
        assert!(["1.1", "-0.1", "5%", ""].iter().all(|word| share(word).is_err()));
        let ms = Duration::from_millis;
        assert_eq!(range("5..40"), Ok((ms(5), ms(40))));
        assert_eq!(range("5..40ms"), Ok((ms(5), ms(40))));
        assert_eq!(range("7"), Ok((ms(7), ms(7))));
        assert!(["40..5", "a..b", "..", ""].iter().all(|word| range(word).is_err()));
    }
}
