package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/stats"
)

// once prints the state of every pushd, and their sum when there are several.
func once(ctx context.Context, o options, out io.Writer) error {
	r := newReport(o, out, io.Discard)
	defer func() {
		for _, s := range r.sources {
			s.close()
		}
	}()
	readings, err := r.read(ctx)
	if err != nil {
		return err
	}
	several := len(r.sources) > 1
	if several {
		readings = append(readings, sum(readings))
	}
	enc := json.NewEncoder(out)
	for i, r := range readings {
		switch {
		case o.json && several:
			err = enc.Encode(labelled{r.labels, r.Snapshot})
		case o.json:
			err = enc.Encode(r.Snapshot)
		default:
			err = printBlock(out, i, r, several)
		}
		if err != nil {
			return err
		}
	}
	if r.missing != nil { // the others have been shown
		return coded(r.missing)
	}
	return nil
}

// labelled is a snapshot among several.
type labelled struct {
	labels
	*stats.Snapshot
}

// printBlock prints one snapshot for a person; it is the i-th.
func printBlock(out io.Writer, i int, r *reading, several bool) error {
	if i > 0 {
		if _, err := io.WriteString(out, "\n"); err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	s := r.Snapshot
	switch {
	case r.Sockets > 0:
		fmt.Fprintf(w, "total\tof %d\n", r.Sockets)
	case several:
		fmt.Fprintf(w, "socket\t%s\n", app.Printable(r.Socket))
	}
	if r.Sockets == 0 {
		fmt.Fprintf(w, "pushd\t%s, pid %d, up %s\n", app.Printable(s.Version), s.PID, uptime(s.UptimeSeconds))
	}
	c := s.Connections
	fmt.Fprintf(w, "connections\t%d (events %d, stream %d, poll %d, ws %d, http %d)\n", c.Total, c.Events, c.Stream, c.Poll, c.WS, c.HTTP)
	fmt.Fprintf(w, "accepted\t%d\n", s.Accepted)
	fmt.Fprintf(w, "closed\t%s\n", byReason(s.Closed))
	fmt.Fprintf(w, "channels\t%d\n", s.Channels)
	fmt.Fprintf(w, "subscriptions\t%d\n", s.Subscriptions)
	fmt.Fprintf(w, "published\t%d\n", s.Published)
	fmt.Fprintf(w, "delivered\t%d, %s written\n", s.Delivered, byteSize(int64(s.BytesOut)))
	fmt.Fprintf(w, "dropped\t%s\n", byReason(s.Dropped))
	fmt.Fprintf(w, "queued\t%s\n", byteSize(s.QueuedBytes))
	fmt.Fprintf(w, "latency\t%s (from an item's arrival to the write)\n", durations(&s.Latency))
	fmt.Fprintf(w, "loop lag\t%s\n", durations(&s.Lag))
	fmt.Fprintf(w, "memory\t%s resident, %s of it heap and stacks\n", byteSize(s.RSSBytes), byteSize(s.RSSAnonBytes))
	if s.HeapGoalBytes > 0 { // an older pushd does not say
		printSystem(w, s)
	}
	fmt.Fprintf(w, "open files\t%d of %d\n", s.FDs.Used, s.FDs.Limit)
	fmt.Fprintf(w, "cpu\t%.1f s\n", s.CPUSeconds)
	fmt.Fprintf(w, "goroutines\t%d\n", s.Goroutines)
	if err := w.Flush(); err != nil {
		return err
	}
	return printLoops(out, s.Loops)
}

// printSystem prints what the runtime and the kernel say.
func printSystem(w io.Writer, s *stats.Snapshot) {
	pauses := ""
	if s.GC.Pauses.Count > 0 {
		pauses = ", pauses " + durations(&s.GC.Pauses)
	}
	fmt.Fprintf(w, "heap\t%s, collected at %s; %d collections%s\n", byteSize(s.HeapBytes), byteSize(s.HeapGoalBytes), s.GC.Cycles, pauses)
	k := s.Kernel
	fmt.Fprintf(w, "host's tcp\t%s of %s, %d sockets, %d listen overflows\n", byteSize(k.TCPMemBytes), byteSize(k.TCPMemLimit), k.TCPSockets, k.ListenOverflows)
}

func printLoops(out io.Writer, loops []stats.LoopSnapshot) error {
	if len(loops) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "loop\tconns\taccepted\tsubscriptions\tdelivered\twritten\tqueued\tbatches\twalks\t")
	for i, l := range loops {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%s\t%s\t%d\t%d\t\n", i, l.Connections, l.Accepted, l.Subscriptions, l.Delivered,
			byteSize(int64(l.BytesOut)), byteSize(l.QueuedBytes), l.Batches, l.Walks)
	}
	return w.Flush()
}

// durations writes the quantiles of all since the start.
func durations(d *stats.Durations) string {
	if d.Count == 0 {
		return "-"
	}
	return fmt.Sprintf("p50 %s, p99 %s, p99.9 %s, max %s", latency(d.P50, d.Count), latency(d.P99, d.Count), latency(d.P999, d.Count), latency(d.Max, d.Count))
}

// byReason writes the sum of the counters, and in parentheses each, the largest first.
func byReason(m map[string]uint64) string {
	if len(m) == 0 {
		return "0"
	}
	var parts []string
	for _, k := range reasons(m) {
		parts = append(parts, fmt.Sprintf("%s %d", app.Printable(k), m[k]))
	}
	return fmt.Sprintf("%d (%s)", stats.Total(m), strings.Join(parts, ", "))
}
