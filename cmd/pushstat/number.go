package main

import (
	"fmt"
	"math"
	"time"
)

// count writes a number in at most five characters: as it is below 100,000, else with three digits and k, M, G or T.
func count(n float64) string {
	if n < 99999.5 {
		return fmt.Sprintf("%.0f", n)
	}
	return scaled(n, 1000, "kMGT")
}

// perSecond is count with a decimal for small rates, so that a few a minute are not shown as none.
func perSecond(n float64) string {
	if n < 9.95 && n != math.Trunc(n) {
		return fmt.Sprintf("%.1f", n)
	}
	return count(n)
}

// byteSize writes a number of bytes in at most five characters, in powers of 1024.
func byteSize(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%dB", n)
	}
	return scaled(float64(n), 1024, "KMGTP")
}

// scaled divides n by base until three digits are left before the point, at least once.
func scaled(n, base float64, units string) string {
	unit := 0
	for n /= base; n >= 999.5 && unit < len(units)-1; n /= base {
		unit++
	}
	decimals := 0
	switch {
	case n < 9.995:
		decimals = 2
	case n < 99.95:
		decimals = 1
	}
	return fmt.Sprintf("%.*f%c", decimals, n, units[unit])
}

// uptime writes seconds as a duration without fractions.
func uptime(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	if days := d / (24 * time.Hour); days > 0 {
		return fmt.Sprintf("%dd%s", days, (d % (24 * time.Hour)).Truncate(time.Second))
	}
	return d.String()
}
