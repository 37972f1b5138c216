package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// record is the file of the pairs that are done, one a line, so that a run that was ended can be
// gone on with. A nil *record keeps nothing.
type record struct {
	f    *os.File
	done map[string][]pair
}

// subject is the first line: what was measured.
type subject struct {
	Old string `json:"old"` // hash of its pushd
	New string `json:"new"`
	N   int    `json:"n"`
}

// pair is what both builds gave in one pair: for each turn the figures, in their order.
type pair struct {
	What string      `json:"what"`
	Old  [][]float64 `json:"old"`
	New  [][]float64 `json:"new"`
}

// fits reports whether it has the turns and figures of c.
func (p pair) fits(c comparison) bool {
	odd := func(turn []float64) bool { return len(turn) != len(c.figures) }
	return len(p.Old) == c.turns && len(p.New) == c.turns &&
		!slices.ContainsFunc(p.Old, odd) && !slices.ContainsFunc(p.New, odd)
}

// openRecord opens the file at path, and reads what an earlier run about the same subject left
// there.
func openRecord(path string, about subject) (*record, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	r := &record{f: f, done: map[string][]pair{}}
	if err := r.read(about); err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

// read leaves the file's end behind the last whole line: a run that was killed may have left half
// of one.
func (r *record) read(about subject) error {
	in := bufio.NewReader(r.f)
	var whole int64
	for n := 0; ; n++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		whole += int64(len(line))
		if err := r.take(n, bytes.TrimSpace(line), about); err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	if err := r.f.Truncate(whole); err != nil {
		return err
	}
	if _, err := r.f.Seek(whole, io.SeekStart); err != nil {
		return err
	}
	if whole > 0 {
		return nil
	}
	return r.write(about)
}

func (r *record) take(n int, line []byte, about subject) error {
	if n == 0 {
		var was subject
		if err := json.Unmarshal(line, &was); err != nil {
			return err
		}
		if was != about {
			return fmt.Errorf("it is about %+v, and this run about %+v: take another file", was, about)
		}
		return nil
	}
	var p pair
	if err := json.Unmarshal(line, &p); err != nil {
		return err
	}
	r.done[p.What] = append(r.done[p.What], p)
	return nil
}

func (r *record) write(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = r.f.Write(append(line, '\n'))
	return err
}

// earlier returns the pairs that an earlier run measured.
func (r *record) earlier(what string, c comparison) []pair {
	if r == nil {
		return nil
	}
	return slices.DeleteFunc(r.done[what], func(p pair) bool { return !p.fits(c) })
}

func (r *record) add(p pair) error {
	if r == nil {
		return nil
	}
	return r.write(p)
}

func (r *record) close() error {
	if r == nil {
		return nil
	}
	return r.f.Close()
}
