package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/loadgen"
	"holdfast/pkg/stats"
)

// writeBenchReport writes r for a reader: a paragraph each for connections, messages, deliveries and pushd.
func writeBenchReport(w io.Writer, r *loadgen.Report) error {
	out := &bytes.Buffer{}
	writeConnections(out, &r.Connections)
	if r.Messages.Wanted > 0 {
		writeMessages(out, &r.Messages)
		writeDeliveries(out, r)
	}
	writeDaemon(out, r)
	_, err := out.WriteTo(w)
	return err
}

// row writes a line of the report: its subject, and what is said about it.
func row(out *bytes.Buffer, label, format string, args ...any) {
	fmt.Fprintf(out, "%-13s%s\n", label, fmt.Sprintf(format, args...))
}

func writeConnections(out *bytes.Buffer, c *loadgen.Connections) {
	processes := "1 process"
	if c.Workers != 1 {
		processes = fmt.Sprintf("%d processes", c.Workers)
	}
	row(out, "connections", "%s of %s held in %.2f s: %s/s, by %s", thousands(c.Held), thousands(c.Wanted), c.Seconds,
		perSecond(c.PerSecond), processes)
	row(out, "  latency", "%s", latency(c.Latency))
	if len(c.Failed) > 0 {
		var why []string
		for _, reason := range slices.Sorted(maps.Keys(c.Failed)) {
			why = append(why, fmt.Sprintf("%s %s", reason, thousands(c.Failed[reason])))
		}
		row(out, "  failed", "%s; %s", strings.Join(why, ", "), app.Printable(c.Problem))
	}
}

func writeMessages(out *bytes.Buffer, m *loadgen.Messages) {
	row(out, "messages", "%s of %s accepted, of %s bytes: %s/s", thousands(m.Accepted), thousands(m.Wanted), thousands(m.Size),
		perSecond(m.PerSecond))
	row(out, "  held back", "%s times by back-pressure, %.3f s in all", thousands(m.Blocked), m.BlockedSeconds)
	if m.Refused > 0 {
		row(out, "  refused", "%s; %s", thousands(m.Refused), app.Printable(m.Refusal))
	}
	if late := time.Duration(m.BehindSeconds * float64(time.Second)); late > 10*time.Millisecond {
		row(out, "  late", "up to %v behind the rate", late.Round(time.Millisecond))
	}
}

func writeDeliveries(out *bytes.Buffer, r *loadgen.Report) {
	d, c := &r.Deliveries, &r.Connections
	row(out, "deliveries", "%s of %s: %s/s", thousands(d.Received), thousands(d.Expected), perSecond(d.PerSecond))
	row(out, "  latency", "%s", latency(d.Latency))
	row(out, "  fan-out", "%s", latency(d.FanOut))
	row(out, "  lost", "%s, duplicated %s, disconnects %s", thousands(d.Lost), thousands(d.Duplicated), thousands(c.Disconnects))
	if c.Broken > 0 {
		row(out, "  broken", "%s", app.Printable(c.Fault))
		return
	}
	row(out, "  in full", "%s messages read and compared, all sound", thousands(c.Checked))
}

// enoughToTell is the number of connections below which pushd's memory says more about its heap than about them.
const enoughToTell = 1000

func writeDaemon(out *bytes.Buffer, r *loadgen.Report) {
	d := &r.Daemon
	memory := fmt.Sprintf("anonymous memory %s before, %s held", mebibytes(d.BeforeBytes), mebibytes(d.HeldBytes))
	switch {
	case d.BytesPerConnection == nil && d.HeldBytes > 0:
		row(out, "pushd", "%s; what a connection costs shows on a pushd that has just been started", memory)
	case d.BytesPerConnection == nil:
	case r.Connections.Held < enoughToTell:
		row(out, "pushd", "%s", memory)
	default:
		row(out, "pushd", "%.0f bytes a connection (%s)", *d.BytesPerConnection, memory)
	}
	if d.CPUSeconds != nil {
		row(out, "  CPU", "%.2f s, %.3f s a million deliveries", *d.CPUSeconds, *d.CPUSecondsPerMillion)
	}
}

func latency(l stats.Latency) string {
	if l.Count == 0 {
		return "nothing to measure"
	}
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", duration(l.P50), duration(l.P90), duration(l.P99), duration(l.P999),
		duration(l.Max))
}

// duration writes microseconds in the unit that a reader wants, to three digits.
func duration(us float64) string {
	switch {
	case us < 999.5:
		return fmt.Sprintf("%.0fus", us)
	case us < 999_500: // what would be 1e+03ms is a second
		return fmt.Sprintf("%.3gms", us/1e3)
	}
	return fmt.Sprintf("%.3fs", us/1e6)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func perSecond(r float64) string {
	if r < 100 {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return thousands(int(r))
}

// thousands writes n with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
