package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/version"
)

// recordFormat is the version of the lines that record adds to those of report --json.
const recordFormat = 1

const recordDescription = `Appends an object a line to FILE, as report --json prints them, until it is
interrupted or has recorded --count readings or for --duration. A pushd that
goes away is waited for; that it was gone, and that it is another one now, are
lines too. pushstat plot draws the recording.`

// recordCommand is `pushstat record`.
func recordCommand() *cli.Command {
	return &cli.Command{
		Name:        "record",
		Usage:       "append the state to a file at every --interval, for plot",
		UsageText:   "pushstat record FILE [--interval TIME] [--count N | --duration TIME]",
		Description: recordDescription,
		Flags:       []cli.Flag{&cli.DurationFlag{Name: "duration", Aliases: []string{"d"}, Usage: "end after `TIME`"}},
		Action: func(c *cli.Context) error {
			o, err := readOptions(c)
			d := c.Duration("duration")
			switch {
			case err != nil:
				return err
			case c.NArg() != 1:
				return app.Usagef("record takes one file, %d are given", c.NArg())
			case o.once:
				return app.Usagef("record goes without --once")
			case app.Given(c, "duration") && app.Given(c, "count"):
				return app.Usagef("record takes --count or --duration, not both")
			case app.Given(c, "duration") && d <= 0:
				return app.Usagef("--duration: %v is out of range, more than 0 is allowed", d)
			}
			return record(c.Context, o, d, c.Args().First(), c.App.ErrWriter)
		},
	}
}

// recorder writes readings to a file.
type recorder struct {
	file  *os.File
	known map[string]*recorded // by socket
	lines int                  // readings of a moment
}

// recorded is what was seen of a pushd.
type recorded struct {
	pid    int
	uptime float64
	gone   bool
}

// marker is a line of a recording that is no reading.
type marker struct {
	Time   string `json:"time"`
	Event  string `json:"event"` // start (of this recording), gone, back, restart
	Socket string `json:"socket,omitempty"`
	PID    int    `json:"pid,omitempty"`

	Format   int     `json:"format,omitempty"` // with start
	Program  string  `json:"program,omitempty"`
	Interval float64 `json:"interval_s,omitempty"`
}

// record records until ctx ends, the time d is over (unless it is 0) or there are enough readings.
func record(ctx context.Context, o options, d time.Duration, path string, errs io.Writer) (err error) {
	if d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	r := newReport(o, io.Discard, errs)
	defer func() {
		for _, s := range r.sources {
			s.close()
		}
	}()
	readings, err := r.read(ctx) // first, so that no file is made where there is no pushd
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return coded(err)
	}
	rec, err := openRecording(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rec.file.Close()) }()
	if err := rec.write(&marker{Time: readings[0].Time, Event: "start", Format: recordFormat, Program: "pushstat " + version.String(),
		Interval: o.interval.Seconds()}); err != nil {
		return err
	}
	if err := rec.run(ctx, r, readings); err != nil {
		return err
	}
	noun := "readings"
	if rec.lines == 1 {
		noun = "reading"
	}
	fmt.Fprintf(errs, "pushstat: %d %s recorded in %s\n", rec.lines, noun, app.Printable(path))
	return nil
}

// run records readings, and those that follow at every interval.
func (rec *recorder) run(ctx context.Context, r *report, readings []*reading) (err error) {
	tick := time.NewTicker(r.o.interval)
	defer tick.Stop()
	for {
		if err := rec.take(r, readings); err != nil {
			return err
		}
		if r.o.count > 0 && rec.lines >= r.o.count {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		readings, err = r.read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// take writes the readings of one moment, and before each what has become of its pushd.
func (rec *recorder) take(r *report, readings []*reading) error {
	here := make(map[string]bool)
	for _, one := range readings {
		here[one.Socket] = true
		if err := rec.news(one); err != nil {
			return err
		}
	}
	for socket, k := range rec.known {
		if here[socket] || k.gone {
			continue
		}
		k.gone = true
		if err := rec.write(&marker{Time: timestamp(time.Now()), Event: "gone", Socket: socket, PID: k.pid}); err != nil {
			return err
		}
	}
	if len(readings) == 0 {
		return nil
	}
	if len(r.sources) > 1 {
		s := sum(readings)
		s.Time = readings[0].Time
		readings = append(readings, s)
	}
	for _, one := range readings {
		if err := rec.write(one); err != nil {
			return err
		}
	}
	rec.lines++
	return nil
}

// news writes that a pushd is another one than before, or is there again.
func (rec *recorder) news(now *reading) error {
	k := rec.known[now.Socket]
	if k == nil {
		rec.known[now.Socket] = &recorded{pid: now.PID, uptime: now.UptimeSeconds}
		return nil
	}
	event := ""
	switch {
	case k.pid != now.PID || now.UptimeSeconds < k.uptime:
		event = "restart"
	case k.gone:
		event = "back"
	}
	*k = recorded{pid: now.PID, uptime: now.UptimeSeconds}
	if event == "" {
		return nil
	}
	return rec.write(&marker{Time: now.Time, Event: event, Socket: now.Socket, PID: now.PID})
}

// write appends one line with one call, so that it is there in whole or, when the disk is full or the power fails, cut at the end.
func (rec *recorder) write(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = rec.file.Write(append(line, '\n'))
	return err
}

// openRecording opens a file to append to: a new one, or a recording. Two pushstat do not write to the same.
func openRecording(path string) (rec *recorder, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("another pushstat records to %s", path)
	}
	rec = &recorder{file: f, known: make(map[string]*recorded)}
	if info.Mode().IsRegular() && info.Size() > 0 {
		err = rec.follow(path, info.Size())
	}
	return rec, err
}

// follow makes sure that what is in the file already is a recording, and ends its last line where that was cut.
func (rec *recorder) follow(path string, size int64) error {
	first, err := bufio.NewReaderSize(io.NewSectionReader(rec.file, 0, size), 64<<10).ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return err
	}
	if !bytes.HasPrefix(first, []byte(`{"time":"`)) {
		return fmt.Errorf("%s is no recording, and is left as it is", path)
	}
	last := make([]byte, 1)
	if _, err := rec.file.ReadAt(last, size-1); err != nil {
		return err
	}
	if last[0] != '\n' {
		_, err = rec.file.Write([]byte("\n"))
	}
	return err
}
