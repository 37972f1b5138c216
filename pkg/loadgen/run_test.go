package loadgen

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// mustMeasure runs o against f.
func mustMeasure(t *testing.T, f *fake, o Options) *Report {
	t.Helper()
	r, err := measure(context.Background(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEverythingArrives(t *testing.T) {
	for _, tt := range []struct {
		name      string
		transport Transport
		channels  int
		processes bool
	}{
		{"events", Events, 1, false},
		{"stream", Stream, 1, false},
		{"events on channels", Events, 7, false},
		{"stream in a process", Stream, 7, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t)
			o := f.options()
			o.Transport, o.Channels = tt.transport, tt.channels
			if tt.processes {
				o.Worker = process("work")
			}
			r := mustMeasure(t, f, o)
			if err := r.Err(); err != nil {
				t.Errorf("Err = %v", err)
			}
			expected := 0
			for m := range o.Messages {
				for i := range o.Connections {
					if i%o.Channels == m%o.Channels {
						expected++
					}
				}
			}
			if r.Deliveries.Expected != expected || r.Deliveries.Received != expected || r.Messages.Receivers != expected {
				t.Errorf("deliveries: %+v, receivers %d, want %d", r.Deliveries, r.Messages.Receivers, expected)
			}
			if r.Connections.Held != 20 || r.Connections.Latency.Count != 20 || r.Connections.PerSecond <= 0 {
				t.Errorf("connections: %+v, want 20 held", r.Connections)
			}
			if r.Deliveries.Latency.Count != int64(expected) || r.Deliveries.FanOut.Count != 30 {
				t.Errorf("latency of %d, fan-out of %d, want %d and 30", r.Deliveries.Latency.Count, r.Deliveries.FanOut.Count, expected)
			}
			if r.Deliveries.FanOut.Max < r.Deliveries.Latency.Max*0.99 {
				t.Errorf("the slowest fan-out took %v us, the slowest delivery %v us", r.Deliveries.FanOut.Max, r.Deliveries.Latency.Max)
			}
			if want := 30 / tt.channels; r.Connections.Checked < want {
				t.Errorf("%d messages were read in full, want at least %d", r.Connections.Checked, want)
			}
			if names := f.names(); len(names) != tt.channels || names[0] != "bench-0001" {
				t.Errorf("channels = %q, want %d from bench-0001 on", names, tt.channels)
			}
			// The fake grows by 1 MB and 1 s with each snapshot.
			if b := r.Daemon.BytesPerConnection; b == nil || *b != 1e6/20 {
				t.Errorf("bytes per connection = %v, want 50000", b)
			}
			if c := r.Daemon.CPUSecondsPerMillion; c == nil || *c != 1e6/float64(expected) {
				t.Errorf("CPU seconds per million = %v, want %v", c, 1e6/float64(expected))
			}
		})
	}
}

func TestLossIsCounted(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	f.tamper = func(sub, message int) []string {
		if sub%2 == 1 && message%10 == 9 {
			return []string{}
		}
		return nil
	}
	r := mustMeasure(t, f, f.options())
	if d := r.Deliveries; d.Lost != 30 || d.Received != 570 || d.Duplicated != 0 {
		t.Errorf("lost %d, received %d, duplicated %d, want 30, 570, 0", d.Lost, d.Received, d.Duplicated)
	}
	if r.Deliveries.FanOut.Count != 27 {
		t.Errorf("fan-outs = %d, want those of the 27 messages that reached everybody", r.Deliveries.FanOut.Count)
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "30 of 600 deliveries were lost") {
		t.Errorf("Err = %v, want the loss", err)
	}
}

func TestDuplicatesAreCountedAndHideNoLoss(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	f.tamper = func(sub, message int) []string {
		switch {
		case sub == 3 && message%10 == 0:
			return []string{itself, itself}
		case sub == 4 && message == 20:
			return []string{}
		}
		return nil
	}
	r := mustMeasure(t, f, f.options())
	if d := r.Deliveries; d.Duplicated != 3 || d.Lost != 1 || d.Received != 602 {
		t.Errorf("duplicated %d, lost %d, received %d, want 3, 1, 602", d.Duplicated, d.Lost, d.Received)
	}
}

func TestDisconnectsAreCounted(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	f.tamper = func(sub, message int) []string {
		if sub < 4 && message == 25 {
			return []string{hangUp}
		}
		return nil
	}
	r := mustMeasure(t, f, f.options())
	if r.Connections.Disconnects != 4 || r.Connections.Held != 20 || r.Deliveries.Lost != 4*5 {
		t.Errorf("disconnects = %d, held = %d, lost = %d, want 4, 20, 20", r.Connections.Disconnects, r.Connections.Held, r.Deliveries.Lost)
	}
}

func TestRefusedConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	f.status = func(n int) int {
		if n >= 15 {
			return 503
		}
		return 200
	}
	r := mustMeasure(t, f, f.options())
	if c := r.Connections; c.Held != 15 || c.Failed["status"] != 5 || c.Problem != "answer 503: no room for you" {
		t.Errorf("connections = %+v, want 15 held and 5 with status 503", c)
	}
	if d := r.Deliveries; d.Expected != 15*30 || d.Lost != 0 {
		t.Errorf("deliveries = %+v, want 450 expected, none lost", d)
	}
}

func TestRefusedMessagesAreNotExpected(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	f.refuse = func(message int) bool { return message%3 == 0 }
	r := mustMeasure(t, f, f.options())
	if m := r.Messages; m.Refused != 10 || m.Accepted != 20 || !strings.Contains(m.Refusal, "not today") {
		t.Errorf("messages = %+v, want 10 refused", m)
	}
	if d := r.Deliveries; d.Expected != 400 || d.Lost != 0 {
		t.Errorf("deliveries = %+v, want 400 expected, none lost", d)
	}
}

func TestBrokenStreamIsNoticed(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	f.tamper = func(_, message int) []string {
		if message == 12 {
			return []string{"data: @TS=1700000000000000000;0000000012;and not what was published\n\n"}
		}
		return nil
	}
	r := mustMeasure(t, f, f.options())
	if c := r.Connections; c.Broken != 1 || !strings.Contains(c.Fault, "not the one") || c.Checked != 12 {
		t.Errorf("broken = %d, fault = %q, checked = %d, want 1 after 12 messages", c.Broken, c.Fault, c.Checked)
	}
}

func TestNobodyHeldIsAnError(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	f.status = func(int) int { return 404 }
	if r, err := measure(context.Background(), f, f.options()); err == nil || !strings.Contains(err.Error(), "answer 404") {
		t.Errorf("measure = %v, %v, want an error with the answer", r, err)
	}
}

func TestWorkerThatEndsIsAnError(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	o := f.options()
	o.Worker = process("crash")
	if r, err := measure(context.Background(), f, o); err == nil || !strings.Contains(err.Error(), "worker") {
		t.Errorf("measure = %v, %v, want an error about the worker", r, err)
	}
}

func TestNoStatisticsIsAnError(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	if r, err := measure(context.Background(), silentDaemon{f}, f.options()); !errors.Is(err, errNoStats) {
		t.Errorf("measure = %v, %v, want %v", r, err, errNoStats)
	}
}

func TestRateIsKept(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	o := f.options()
	o.Messages, o.Rate = 50, 250
	r := mustMeasure(t, f, o)
	if r.Messages.Seconds < 49.0/250 || r.Deliveries.Lost != 0 {
		t.Errorf("50 messages at 250/s took %v s, lost %d, want at least 0.196 s and nothing lost", r.Messages.Seconds, r.Deliveries.Lost)
	}
}

func TestConnectRateIsKept(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	o := f.options()
	o.ConnectRate, o.Messages = 100, 0
	r := mustMeasure(t, f, o)
	if r.Connections.Seconds < 0.18 || r.Connections.Held != 20 {
		t.Errorf("20 connections at 100/s took %v s, held %d, want at least 0.18 s", r.Connections.Seconds, r.Connections.Held)
	}
}

func TestInterruptReportsWhatWasMeasured(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := f.options()
	o.Messages, o.Rate = 1_000_000, 200
	o.Progress = func(p Progress) {
		if p.Received > 100 {
			cancel()
		}
	}
	r, err := measure(ctx, f, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.TimedOut || r.Messages.Published < 5 || r.Messages.Published > 100_000 {
		t.Errorf("interrupted %v, timed out %v, published %d, want true, false, a few", r.Interrupted, r.TimedOut, r.Messages.Published)
	}
	if r.Deliveries.Received <= 100 || r.Connections.Disconnects != 0 {
		t.Errorf("received %d, disconnects %d, want more than 100 and 0", r.Deliveries.Received, r.Connections.Disconnects)
	}
}

func TestTimeLimitEndsTheRun(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	o := f.options()
	o.Messages, o.Rate, o.Limit = 1_000_000, 100, 4*time.Second
	r := mustMeasure(t, f, o)
	if !r.TimedOut || r.Interrupted || r.Messages.Published == 0 {
		t.Errorf("timed out %v, interrupted %v, published %d, want true, false, some", r.TimedOut, r.Interrupted, r.Messages.Published)
	}
	if r.Err() == nil {
		t.Error("Err = nil, want that the time was up")
	}
}
