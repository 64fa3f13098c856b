//! A histogram of fixed size, which threads add to without waiting for each other.
//!
//! Its buckets are those of HDR histograms with two significant bits: four to each power of two. So none is wider than a fourth of
//! its values, whatever their order of magnitude, or than one step.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// How many buckets have an upper bound. That of the last is 2^27: 134 s in microseconds.
const BOUNDED: usize = 104;

/// Counts amounts. It never forgets any.
#[derive(Debug)]
pub struct Histogram {
    /// The last one has no upper bound.
    buckets: [AtomicU64; BOUNDED + 1],
    sum: AtomicU64,
    max: AtomicU64,
    /// How much of an amount one step of the first buckets is.
    resolution: u64,
}

/// A histogram at one moment, in the unit of whoever reads it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distribution {
    /// How many amounts there were.
    pub count: u64,
    /// All of them together.
    pub sum: f64,
    /// The largest.
    pub max: f64,
    /// What half of the amounts do not exceed. This and what follows is an estimate, as exact as a bucket is narrow.
    pub p50: f64,
    /// What nine of ten do not exceed.
    pub p90: f64,
    /// What 99 of 100 do not exceed.
    pub p99: f64,
    /// The upper bounds of the buckets, which belong to them, ascending.
    pub bounds: Vec<f64>,
    /// How many amounts are in each bucket; the last one has no bound.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// One whose first buckets are `resolution` wide.
    #[must_use]
    pub fn with_resolution(resolution: u64) -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BOUNDED + 1],
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
            resolution,
        }
    }

    /// Counts one amount.
    pub fn record(&self, amount: u64) {
        self.buckets[bucket_of(amount.div_ceil(self.resolution))].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(amount, Ordering::Relaxed);
        // Nearly always it is not, and to read costs less than to write.
        if amount > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(amount, Ordering::Relaxed);
        }
    }

    /// What has been counted so far, each amount divided by `unit`.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // JavaScript has no other numbers
    pub fn distribution(&self, unit: f64) -> Distribution {
        let counts: Vec<u64> = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect();
        let in_unit = |amount: u64| amount as f64 / unit;
        let max = in_unit(self.max.load(Ordering::Relaxed));
        let bounds: Vec<f64> = (0..BOUNDED)
            .map(|bucket| in_unit(upper_bound(bucket) * self.resolution))
            .collect();
        let count = counts.iter().sum();
        let percentile = |part| percentile(&counts, &bounds, count, part, max);
        Distribution {
            count,
            sum: in_unit(self.sum.load(Ordering::Relaxed)),
            max,
            p50: percentile(0.5),
            p90: percentile(0.9),
            p99: percentile(0.99),
            bounds,
            counts,
        }
    }
}

/// The bucket of an amount. Bounds belong to the bucket below them, as monitoring systems have it: so it is looked for as if it
/// were one less.
#[allow(clippy::cast_possible_truncation)] // it is below the bound that it is compared with
fn bucket_of(amount: u64) -> usize {
    let below = amount.saturating_sub(1);
    if below < 4 {
        return below as usize;
    }
    let exponent = below.ilog2();
    let quarter = (below >> (exponent - 2)) & 3;
    ((u64::from(exponent) - 1) * 4 + quarter).min(BOUNDED as u64) as usize
}

/// The largest amount of a bucket that has a bound.
fn upper_bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 4 {
        return bucket + 1;
    }
    (5 + bucket % 4) << (bucket / 4 - 1)
}

/// What so large a part of the amounts does not exceed, as if those of a bucket were spread evenly over it.
#[allow(clippy::cast_precision_loss)]
fn percentile(counts: &[u64], bounds: &[f64], count: u64, part: f64, max: f64) -> f64 {
    let wanted = count as f64 * part;
    let mut before = 0.0;
    for (bucket, in_bucket) in counts.iter().enumerate() {
        let in_bucket = *in_bucket as f64;
        if in_bucket > 0.0 && before + in_bucket >= wanted {
            let lower = bucket.checked_sub(1).map_or(0.0, |bucket| bounds[bucket]);
            let upper = bounds.get(bucket).copied().unwrap_or(max).min(max);
            return lower + (upper - lower) * (wanted - before) / in_bucket;
        }
        before += in_bucket;
    }
    max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_amount_is_in_the_bucket_whose_bounds_hold_it() {
        let around_bounds = (0..BOUNDED).flat_map(|bucket| {
            let bound = upper_bound(bucket);
            [bound - 1, bound, bound + 1]
        });
        for amount in around_bounds.chain([0, 1, u64::MAX]) {
            let bucket = bucket_of(amount);
            assert!(bucket == BOUNDED || amount <= upper_bound(bucket), "{amount}");
            assert!(bucket == 0 || amount > upper_bound(bucket - 1), "{amount}");
        }
    }

    #[test]
    fn no_bucket_is_wider_than_a_fourth_of_its_values() {
        let bounds: Vec<u64> = (0..BOUNDED).map(upper_bound).collect();
        assert_eq!(bounds[..13], [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20]);
        assert_eq!(bounds[BOUNDED - 1], 1 << 27);
        for pair in bounds.windows(2) {
            assert!(
                pair[0] < pair[1] && (pair[1] - pair[0]) * 4 <= pair[1].max(4),
                "{pair:?}"
            );
        }
    }

    #[test]
    #[allow(clippy::float_cmp)] // these sums are exact
    fn a_distribution_adds_up_in_the_unit_of_whoever_reads_it() {
        let histogram = Histogram::with_resolution(1000);
        for microseconds in 1..=1000 {
            histogram.record(microseconds * 1000);
        }
        histogram.record(500_000_000_000);
        let distribution = histogram.distribution(1e6);
        assert_eq!(distribution.count, 1001);
        assert_eq!(distribution.counts.iter().sum::<u64>(), 1001);
        assert_eq!(distribution.counts.len(), distribution.bounds.len() + 1);
        assert_eq!(distribution.counts[BOUNDED], 1);
        assert_eq!(distribution.sum, 500_500.5);
        assert_eq!(distribution.max, 500_000.0);
        assert!((distribution.p50 - 0.5).abs() < 0.03, "{}", distribution.p50);
        assert!((distribution.p99 - 0.99).abs() < 0.03, "{}", distribution.p99);
    }

    #[test]
    fn no_percentile_is_above_the_largest_amount() {
        let histogram = Histogram::with_resolution(1);
        assert!(histogram.distribution(1.0).p99.abs() < f64::EPSILON);
        histogram.record(129);
        let distribution = histogram.distribution(1.0);
        assert!(distribution.p50 <= 129.0 && distribution.p99 <= 129.0 && distribution.p50 > 128.0);
    }
}
