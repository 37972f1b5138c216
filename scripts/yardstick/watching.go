package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/pkg/stats"
)

const (
	watchers     = 5    // screens of pushstat
	watchedRate  = 5    // messages a second
	watchedFor   = 10   // seconds
	watchedLimit = 1.02 // of the CPU without watchers
)

// watching publishes steadily to everybody, with and without watchers, in turns, and compares pushd's CPU for a delivery. What the
// watchers themselves need is printed beside it.
func watching(s *setup) error {
	var ratios []float64
	var costs [2][]float64 // alone, watched
	var own []float64      // CPU of one watcher, in percent of a processor
	for pair := range s.pairs {
		var cost [2]float64
		order := []bool{false, true}
		if pair%2 == 1 {
			slices.Reverse(order) // a machine that gets slower or faster does so for both
		}
		for _, watched := range order {
			c, w, err := s.watched(watched)
			if err != nil {
				return err
			}
			if watched {
				cost[1], own = c, append(own, w)
			} else {
				cost[0] = c
			}
		}
		for i := range cost {
			costs[i] = append(costs[i], cost[i])
		}
		ratios = append(ratios, cost[1]/cost[0])
	}
	low, high := medianInterval(ratios, 0.95)
	fmt.Printf("  CPU per million deliveries: alone %.2f s, with %d screens and a scrape a second %.2f s\n", median(costs[0]), watchers, median(costs[1]))
	fmt.Printf("  ratio of the pairs: %.3f, between %.3f and %.3f (wanted <= %.2f)\n",
		median(ratios), low, high, watchedLimit)
	fmt.Printf("  a screen itself takes %.2f %% of a processor\n", median(own))
	return nil
}

// watched returns pushd's CPU seconds for a million deliveries, and the CPU of a watcher in percent.
func (s *setup) watched(watch bool) (cost, own float64, err error) {
	metrics, err := freeAddr()
	if err != nil {
		return 0, 0, err
	}
	d, err := s.pushd("--metrics-listen", metrics)
	if err != nil {
		return 0, 0, err
	}
	defer d.stop()
	sw, _, err := s.swarm(d.addr, s.n, "-p", "/stream?channel=a")
	if err != nil {
		return 0, 0, err
	}
	defer sw.end()
	end := func() float64 { return 0 }
	if watch {
		if end, err = s.startWatchers(metrics); err != nil {
			return 0, 0, err
		}
	}
	before, err := d.stats()
	if err != nil {
		return 0, 0, err
	}
	cpu, begin := d.cpu(), time.Now()
	if err := steadyBroadcast(d, watchedFor); err != nil {
		return 0, 0, err
	}
	want := before.Delivered + uint64(watchedRate*watchedFor*s.n)
	if err := d.until(func(snap *stats.Snapshot) bool { return snap.Delivered >= want }); err != nil {
		return 0, 0, err
	}
	cost = (d.cpu() - cpu) / float64(want-before.Delivered) * 1e6
	return cost, end() / watchers / time.Since(begin).Seconds() * 100, nil
}

// steadyBroadcast publishes to everybody watchedRate times a second.
func steadyBroadcast(d *daemon, seconds int) error {
	tick := time.NewTicker(time.Second / watchedRate)
	defer tick.Stop()
	for range watchedRate * seconds {
		<-tick.C
		it := message("a", time.Now())
		if _, err := d.pub.Publish(context.Background(), &it); err != nil {
			return err
		}
	}
	return d.pub.Flush(context.Background())
}

// startWatchers starts screens of pushstat, and scrapes; end ends them and returns the CPU seconds that the screens have used.
func (s *setup) startWatchers(metrics string) (end func() float64, err error) {
	var all []*screen
	ctx, cancel := context.WithCancel(context.Background())
	var scraper sync.WaitGroup
	scraper.Go(func() { scrape(ctx, "http://"+metrics+"/metrics") })
	end = func() float64 {
		cancel()
		scraper.Wait()
		used := 0.0
		for _, w := range all {
			used += w.cpu()
			w.end()
		}
		return used
	}
	for range watchers {
		w, err := s.screen()
		if err != nil {
			end()
			return nil, err
		}
		all = append(all, w)
	}
	return end, nil
}

// screen is a pushstat on a terminal of its own.
type screen struct {
	process
	master *os.File
	drawn  sync.WaitGroup
}

// screen starts a pushstat that watches the pushd of the moment.
func (s *setup) screen() (*screen, error) {
	master, tty, err := openTerminal()
	if err != nil {
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	defer tty.Close()
	w := &screen{master: master}
	w.cmd = exec.Command(filepath.Join(s.bin, "pushstat"), "--socket", s.socket())
	w.cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = tty, tty, tty
	if err := w.cmd.Start(); err != nil {
		master.Close()
		return nil, err
	}
	w.drawn.Go(func() { io.Copy(io.Discard, master) }) //nolint:errcheck // it ends with the terminal
	return w, nil
}

// end presses q.
func (w *screen) end() {
	late := time.AfterFunc(5*time.Second, func() { w.cmd.Process.Kill() })
	w.master.WriteString("q") //nolint:errcheck // whoever does not hear is killed
	w.cmd.Wait()
	late.Stop()
	w.master.Close()
	w.drawn.Wait()
}

// openTerminal returns both ends of a new pseudo-terminal of 80 columns and 24 rows.
func openTerminal() (master, tty *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	n, numberErr := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	sizeErr := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	if err = errors.Join(err, numberErr, sizeErr); err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, tty, nil
}

// scrape reads the metrics once a second until ctx ends.
func scrape(ctx context.Context, url string) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			io.Copy(io.Discard, res.Body) //nolint:errcheck // the work of answering is what counts
			res.Body.Close()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
