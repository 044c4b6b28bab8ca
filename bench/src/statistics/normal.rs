//! The normal distribution.
//!
//! `f64` of std has no error function, so it is made of two textbook expansions: a series near 0 and
//! a continued fraction in the tail (Abramowitz and Stegun 7.1.6 and 7.1.14). Absolute errors are below 1e-15, relative ones below 1e-11.

use std::f64::consts::{FRAC_2_SQRT_PI, PI, SQRT_2};

/// From here on the continued fraction converges faster than the series.
const TAIL_FROM: f64 = 2.5;

/// Terms of either expansion; the series needs 45 at [`TAIL_FROM`], the fraction 60.
const TERMS: u32 = 120;

/// Steps of the bisection, more than a `f64` has bits.
const STEPS: u32 = 80;

/// Where the bisection looks: beyond it the distribution function is 0 or 1 in `f64`.
const FARTHEST: f64 = 39.0;

/// The chance that a standard normal variable is at most `z`.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    let half_tail = complementary_error(z.abs() / SQRT_2) / 2.0;
    if z < 0.0 { half_tail } else { 1.0 - half_tail }
}

/// The `z` with `normal_cdf(z) = share`, for a share between 0 and 1; at 0 and 1 it is the end of what
/// a `f64` can tell, about ±38.
#[must_use]
pub fn normal_quantile(share: f64) -> f64 {
    // The lower half has all its digits; the upper one is its mirror image.
    if share > 0.5 {
        return -normal_quantile(1.0 - share);
    }
    let (mut low, mut high) = (-FARTHEST, 0.0);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if normal_cdf(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// erfc(x) for x that is not negative.
fn complementary_error(x: f64) -> f64 {
    if x < TAIL_FROM {
        // erf(x) = 2/√π e^(−x²) Σ 2^k x^(2k+1) / (1·3·…·(2k+1)): no term is negative, so nothing cancels.
        let mut term = x;
        let mut sum = x;
        for k in 1..TERMS {
            term *= 2.0 * x * x / f64::from(2 * k + 1);
            sum += term;
        }
        1.0 - FRAC_2_SQRT_PI * (-x * x).exp() * sum
    } else {
        // √π e^(x²) erfc(x) = 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + …)))), from the inside out.
        let fraction = (1..TERMS)
            .rev()
            .fold(x, |inner, k| x + f64::from(k) / 2.0 / inner);
        (-x * x).exp() / (fraction * PI.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_scipy() {
        // scipy.stats.norm.cdf(z)
        for (z, wanted) in [
            (-8.0, 6.220_960_574_271_74e-16),
            (-3.6, 1.591_085_901_575_336_4e-4),
            (-3.5, 2.326_290_790_355_250_2e-4),
            (-1.96, 0.024_997_895_148_220_435),
            (-0.5, 0.308_537_538_725_986_9),
            (0.0, 0.5),
            (0.7, 0.758_036_347_776_927),
            (2.5, 0.993_790_334_674_223_8),
            (5.0, 0.999_999_713_348_428_1),
        ] {
            let got = normal_cdf(z);
            assert!(
                ((got - wanted) / wanted).abs() < 1e-11,
                "{z}: {got}, not {wanted}"
            );
        }
        // scipy.stats.norm.ppf(share)
        for (share, wanted) in [
            (1e-12, -7.034_483_825_301_131),
            (1e-4, -3.719_016_485_455_680_4),
            (0.0025, -2.807_033_768_343_804_2),
            (0.025, -1.959_963_984_540_054_5),
            (0.3, -0.524_400_512_708_040_9),
            (0.5, 0.0),
            (0.9, 1.281_551_565_544_600_4),
            (0.975, 1.959_963_984_540_054),
        ] {
            let got = normal_quantile(share);
            assert!((got - wanted).abs() < 1e-10, "{share}: {got}, not {wanted}");
        }
    }

    #[test]
    fn the_two_expansions_meet() {
        let at = TAIL_FROM * SQRT_2;
        let (before, after) = (normal_cdf(-at + 1e-9), normal_cdf(-at - 1e-9));
        assert!(before > after && (before / after - 1.0).abs() < 1e-7);
    }

    #[test]
    fn beyond_everything_it_stays_finite() {
        assert!(normal_quantile(0.0).is_finite() && normal_quantile(1.0).is_finite());
        assert!(normal_cdf(-100.0) == 0.0 && normal_cdf(100.0) == 1.0);
    }
}
