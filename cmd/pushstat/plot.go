package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/pushstat/plot"
	"holdfast/pkg/stats"
)

const plotDescription = `Draws recordings of pushstat record (or of report --json) as one SVG picture:
connections, opens and closes, messages, latency from publish to write, and
memory over time. Restarts of pushd are marked; where nothing was recorded there
is a gap. Several files are put one after the other by their times, which are
shown as the local clock has them ($TZ).`

// plotCommand is `pushstat plot`.
func plotCommand() *cli.Command {
	return &cli.Command{
		Name:        "plot",
		Usage:       "draw what was recorded, as SVG",
		UsageText:   "pushstat plot FILE... [-o FILE.svg] [--title TEXT]",
		Description: plotDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` instead of standard output"},
			&cli.StringFlag{Name: "title", Usage: "`TEXT` above the picture, in place of the file's name"},
		},
		Action: func(c *cli.Context) error {
			for _, other := range []string{"socket", "interval", "count", "once", "json", "timeout"} {
				if app.Given(c, other) {
					return app.Usagef("--%s is not an option of pushstat plot", other)
				}
			}
			if c.NArg() == 0 {
				return app.Usagef("plot takes the files to draw, none is given")
			}
			say := func(news string) { fmt.Fprintf(c.App.ErrWriter, "pushstat: %s\n", app.Printable(news)) }
			return drawRecordings(c.Args().Slice(), c.String("title"), c.String("output"), c.App.Writer, say)
		},
	}
}

// drawRecordings draws the files at paths to a file, or to out when output is "".
func drawRecordings(paths []string, title, output string, out io.Writer, warn func(string)) error {
	if err := notItself(output, paths); err != nil {
		return err
	}
	r, err := readRecordings(paths, warn)
	if err != nil {
		return err
	}
	if title == "" {
		title = titleOf(paths)
	}
	chart := chartOf(r, app.Printable(title))
	chart.Location = time.Local
	var picture bytes.Buffer
	switch err := chart.Write(&picture); {
	case errors.Is(err, plot.ErrEmpty) && len(r.moments) == 1:
		return fmt.Errorf("%s has one reading, and a picture takes two", paths[0])
	case errors.Is(err, plot.ErrEmpty):
		return fmt.Errorf("%s has no two readings of different times", strings.Join(paths, ", "))
	case err != nil:
		return err
	case output == "":
		_, err := out.Write(picture.Bytes())
		return err
	}
	return os.WriteFile(output, picture.Bytes(), 0o644)
}

// notItself refuses an output that is one of the inputs.
func notItself(output string, paths []string) error {
	to, err := os.Stat(output)
	if err != nil {
		return nil // it is not there yet, or cannot be written, which is said later
	}
	for _, path := range paths {
		if from, err := os.Stat(path); err == nil && os.SameFile(from, to) {
			return app.Usagef("--output: %s is the recording itself", output)
		}
	}
	return nil
}

// titleOf is the names of files without directories and endings.
func titleOf(paths []string) string {
	var names []string
	for _, p := range paths {
		base := filepath.Base(p)
		names = append(names, strings.TrimSuffix(base, filepath.Ext(base)))
	}
	return strings.Join(names, ", ")
}

// chartOf is the picture of a recording.
func chartOf(r *recording, title string) *plot.Chart {
	c := &plot.Chart{Title: title}
	for _, m := range r.moments {
		if m.restart {
			c.Marks = append(c.Marks, plot.Mark{Time: m.at, Text: "restart"})
		}
	}
	c.Panels = []plot.Panel{connectionsPanel(r), churnPanel(r), messagesPanel(r)}
	all := r.latencies()
	if all.Count > 0 {
		c.Panels = append(c.Panels, latencyPanel(r))
	}
	c.Panels = append(c.Panels, memoryPanel(r))
	c.Subtitle = summary(r, &all)
	return c
}

// summary is the recording in one line.
func summary(r *recording, latency *stats.Durations) string {
	var conns, deliveries, rss float64
	for _, m := range r.moments {
		conns, rss = max(conns, float64(m.conns.Total)), max(rss, float64(m.rss))
		if m.rates != nil {
			deliveries = max(deliveries, m.rates.Delivered)
		}
	}
	parts := []string{
		"up to " + plot.Count.Format(conns) + " connections",
		plot.Count.Format(deliveries) + " deliveries/s",
		plot.Bytes.Format(rss) + " resident",
	}
	if latency.Count > 0 {
		parts = append(parts, fmt.Sprintf("publish to write p50 %s, p99 %s", seconds(latency.Quantile(0.5)), seconds(latency.Quantile(0.99))))
	}
	return strings.Join(parts, " · ")
}

func seconds(microseconds uint64) string { return plot.Duration.Format(float64(microseconds) / 1e6) }
