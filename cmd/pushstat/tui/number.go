package tui

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// whole writes a count in full with commas, 1,234,567.
func whole[T int | int64 | uint64](n T) string {
	if n < 0 {
		return "-" + whole(-n)
	}
	digits := strconv.FormatUint(uint64(n), 10)
	out := make([]byte, 0, len(digits)+len(digits)/3)
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out = append(out, ',')
		}
		out = append(out, digits[i])
	}
	return string(out)
}

// short writes a number in at most five cells: in full below 10,000, else three digits and k, M, G, T, P or E.
func short(n float64) string {
	switch {
	case math.IsNaN(n) || math.IsInf(n, 0):
		return "-"
	case n < 0:
		return "-" + short(-n)
	case n < 9999.5:
		return strconv.FormatFloat(n, 'f', 0, 64)
	}
	return scale(n, 1000, []string{"k", "M", "G", "T", "P", "E"})
}

// perSecond writes a rate with its unit, in at most seven cells. Small ones have a decimal, so that a few a minute are not
// shown as none.
func perSecond(n float64) string {
	if n > 0 && n < 9.95 {
		return strconv.FormatFloat(max(n, 0.1), 'f', 1, 64) + "/s"
	}
	return short(n) + "/s"
}

// byteSize writes a number of bytes with its unit in powers of 1024, in at most eight cells.
func byteSize[T int | int64 | uint64](n T) string {
	f := float64(n)
	switch {
	case f < 0:
		return "-" + byteSize(-n)
	case f < 1000:
		return strconv.FormatFloat(f, 'f', 0, 64) + " B"
	}
	return scale(f, 1024, []string{" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"})
}

// scale divides n by base, at least once, until at most three digits stand before the point.
func scale(n, base float64, units []string) string {
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
	return strconv.FormatFloat(n, 'f', decimals, 64) + units[unit]
}

// took writes a duration that was measured, with three digits and its unit, in at most seven cells.
func (g *glyphs) took(d time.Duration) string {
	switch us := float64(d) / float64(time.Microsecond); {
	case d <= 0:
		return "0 " + g.micro
	case us < 999.5:
		return digits3(us) + " " + g.micro
	case us < 999.5e3:
		return digits3(us/1e3) + " ms"
	case d < 100*time.Second:
		return digits3(us/1e6) + " s"
	}
	return age(d)
}

func digits3(n float64) string {
	decimals := 0
	switch {
	case n < 9.995:
		decimals = 2
	case n < 99.95:
		decimals = 1
	}
	return strconv.FormatFloat(n, 'f', decimals, 64)
}

// age writes how long something has lasted, in its two greatest units and at most eight cells: 12s, 4m05s, 3h07m, 12d04h.
func age(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}

// percent writes part of whole, and "-" where there is no whole.
func percent(part, whole float64) string {
	if whole <= 0 {
		return "-"
	}
	p := 100 * part / whole
	if p > 0 && p < 0.95 {
		return "<1%"
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + "%"
}
