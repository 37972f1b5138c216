package stats

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histogram counts durations up to an hour, to three significant digits. It takes 200 KB whatever it counts. Those of
// several processes are sent in their binary form and merged. It belongs to one goroutine.
type Histogram struct {
	h *hdrhistogram.Histogram
}

const (
	longest           = time.Hour // what takes longer counts as this
	significantDigits = 3
)

// NewHistogram returns an empty Histogram.
func NewHistogram() *Histogram {
	return &Histogram{hdrhistogram.New(1, int64(longest), significantDigits)}
}

// Record counts d. One below zero, which two readings of a clock that was set back can give, counts as zero.
func (h *Histogram) Record(d time.Duration) {
	// The only error is about a value outside the range.
	h.h.RecordValue(int64(min(max(d, 0), longest))) //nolint:errcheck // see above
}

// Merge adds what o has counted.
func (h *Histogram) Merge(o *Histogram) { h.h.Merge(o.h) }

// Count returns the number of durations recorded.
func (h *Histogram) Count() int64 { return h.h.TotalCount() }

// Quantile returns the duration that the share q of all, from 0 to 1, does not exceed. It is 0 when nothing was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	return time.Duration(h.h.ValueAtPercentile(q * 100))
}

// Max returns the longest duration recorded, to the digits of the histogram.
func (h *Histogram) Max() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.h.Max())
}

// MarshalBinary returns the V2 compressed form of HdrHistogram, which its tools read.
func (h *Histogram) MarshalBinary() ([]byte, error) {
	return h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// UnmarshalBinary replaces what h has counted.
func (h *Histogram) UnmarshalBinary(b []byte) error {
	d, err := hdrhistogram.Decode(b)
	if err != nil {
		return fmt.Errorf("read histogram: %w", err)
	}
	h.h = d
	return nil
}

// Latency is a Histogram in the figures that a reader wants, in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99.9"`
	Max   float64 `json:"max"`
}

// Latency returns the figures. All are 0 when nothing was recorded.
func (h *Histogram) Latency() Latency {
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	return Latency{
		Count: h.Count(),
		P50:   us(h.Quantile(0.5)), P90: us(h.Quantile(0.9)), P99: us(h.Quantile(0.99)), P999: us(h.Quantile(0.999)),
		Max: us(h.Max()),
	}
}
