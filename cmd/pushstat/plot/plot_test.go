package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// ramp is a line of n points a second apart, of the values of f.
func ramp(name string, n int, f func(i int) float64) Line {
	l := Line{Name: name}
	for i := range n {
		l.Points = append(l.Points, Point{noon.Add(time.Duration(i) * time.Second), f(i)})
	}
	return l
}

func draw(t *testing.T, c *Chart) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		_, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
	}
	for _, bad := range []string{"NaN", "Inf", "%!"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("%s is in the picture", bad)
		}
	}
	return b.String()
}

func TestPictureIsAsReviewed(t *testing.T) {
	first := ramp("open", 40, func(i int) float64 { return float64(i * 25) })
	first.Note, first.Filled = "max 975", true
	first.Points[20].Value = Gap
	got := draw(t, &Chart{Title: "a < b & c", Subtitle: "two panels", Marks: []Mark{{noon.Add(21 * time.Second), "restart"}, {noon.Add(22 * time.Second), "restart"}},
		Panels: []Panel{
			{Title: "Linear", Lines: []Line{first, ramp("closed", 40, func(i int) float64 { return float64(i) })}},
			{Title: "Decades", Unit: Duration, Log: true, Lines: []Line{ramp("p99", 40, func(i int) float64 { return 0.0002 * float64(i*i) })}},
		}})
	const file = "testdata/chart.svg"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the picture differs from %s (-update rewrites it; look at it)", file)
	}
}

func TestForeignTextStaysText(t *testing.T) {
	evil := `</text></svg><script>alert(1)</script>"'&` + "\x1b[2J\x00"
	got := draw(t, &Chart{Title: evil, Subtitle: evil, Marks: []Mark{{noon, evil}},
		Panels: []Panel{{Title: evil, Lines: []Line{{Name: evil, Note: evil, Points: ramp("", 2, float).Points}}}}})
	if strings.Contains(got, "<script") || strings.Contains(got, "\x1b") || strings.Count(got, "</svg>") != 1 {
		t.Errorf("foreign text is not escaped:\n%s", got)
	}
}

func TestFewerThanTwoPointsAreNoPicture(t *testing.T) {
	for n, c := range []*Chart{
		{},
		{Panels: []Panel{{Lines: []Line{{}}}}},
		{Panels: []Panel{{Lines: []Line{ramp("", 1, float)}}}},
		{Panels: []Panel{{Lines: []Line{{Points: []Point{{noon, 1}, {noon, 2}}}}}}},
	} {
		if err := c.Write(io.Discard); !errors.Is(err, ErrEmpty) {
			t.Errorf("chart %d: %v, want ErrEmpty", n, err)
		}
	}
}

func float(i int) float64 { return float64(i) }

// All values may be zero, the same, missing, infinite or negative.
func TestStrangeValuesAreDrawn(t *testing.T) {
	for _, log := range []bool{false, true} {
		for _, unit := range []Unit{Count, Bytes, Duration} {
			for _, v := range [][]float64{{0, 0}, {5, 5}, {Gap, Gap}, {Gap, 1}, {1, Gap, 1}, {-3, -1}, {1e-12, 1e18}, {math.Inf(1), 2}, {0.5, 0}, {1, 1}} {
				got := draw(t, &Chart{Panels: []Panel{{Unit: unit, Log: log, Lines: []Line{ramp("x", len(v), func(i int) float64 { return v[i] })}}}})
				if !strings.Contains(got, `class="line s0"`) {
					t.Errorf("values %v, unit %d, log %v: no line", v, unit, log)
				}
			}
		}
	}
}

func TestALongRecordingIsASmallPicture(t *testing.T) {
	const n, spike = 100_000, 77_777
	r := rand.New(rand.NewPCG(1, 2))
	l := ramp("x", n, func(i int) float64 {
		if i == spike {
			return 5000
		}
		return 1000 + 100*r.Float64()
	})
	got := draw(t, &Chart{Panels: []Panel{{Lines: []Line{l}}}})
	if len(got) > 60_000 {
		t.Errorf("%d points make a picture of %d bytes", n, len(got))
	}
	top := number(top + headHeight) // 5000 is the highest tick
	if !strings.Contains(got, " "+top+"L") {
		t.Error("the spike of one point is not in the picture")
	}
}

// thin keeps each column's extremes, their order, and columns of which nothing is known.
func TestThinKeepsTheExtremes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		n := 1 + r.IntN(300)
		points := ramp("", n, func(int) float64 {
			if r.IntN(3) == 0 {
				return Gap
			}
			return float64(r.IntN(50))
		}).Points
		width := 1 + r.IntN(20)
		column := func(p Point) int { return int(p.Time.Sub(noon)/time.Second) / width }
		got := thin(points, column)
		for c := 0; c*width < n; c++ {
			in, out := extremes(points, column, c), extremes(got, column, c)
			if in.low != out.low || in.high != out.high || out.n > 2 || out.n == 0 {
				t.Fatalf("column %d of %d points, %d wide: lowest and highest %+v become %+v", c, n, width, in, out)
			}
		}
		for i := 1; i < len(got); i++ {
			if !got[i].Time.After(got[i-1].Time) {
				t.Fatalf("point %d is not after the one before", i)
			}
		}
	}
}

// columnRange is what is known of one column.
type columnRange struct {
	low, high float64 // -1 when nothing is known
	n         int
}

func extremes(points []Point, column func(Point) int, c int) columnRange {
	e := columnRange{low: -1, high: -1}
	for _, p := range points {
		if column(p) != c {
			continue
		}
		e.n++
		if math.IsNaN(p.Value) {
			continue
		}
		if e.low < 0 || p.Value < e.low {
			e.low = p.Value
		}
		e.high = max(e.high, p.Value)
	}
	return e
}
