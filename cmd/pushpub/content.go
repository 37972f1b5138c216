package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/feed"
)

// maxContentBytes is how much of a file or of standard input is read for one message. pushd allows far less; it bounds
// our memory.
const maxContentBytes = 64 << 20

// kind is where content comes from.
type kind int

const (
	fromArgument kind = iota
	fromFile
	fromInput
	noContent
)

// source is where content comes from, and what is done to it.
type source struct {
	kind       kind
	value      string // the argument, or the name of the file
	implied    bool   // CONTENT is missing
	escapes    bool
	allowEmpty bool
}

// parse reads CONTENT.
func (s *source) parse(arg string, literal bool) {
	s.kind, s.value = fromArgument, arg
	switch name, isFile := strings.CutPrefix(arg, "@"); {
	case literal:
	case isFile:
		s.kind, s.value = fromFile, name
	case arg == "-":
		s.kind = fromInput
	}
}

// asItIs reports whether the content goes out byte for byte, without a newline for HTTP clients.
func (s *source) asItIs() bool { return s.kind != fromArgument }

// open returns what fromFile or fromInput stand for.
func (s *source) open(in streams) (io.ReadCloser, error) {
	if s.kind == fromFile {
		return os.Open(s.value)
	}
	return io.NopCloser(in.in), nil
}

// read returns the whole content.
func (s *source) read(in streams) ([]byte, error) {
	content := []byte(s.value)
	switch s.kind {
	case noContent:
		return nil, nil
	case fromFile, fromInput:
		if s.implied && in.inTerminal {
			return nil, app.Usagef("no content given")
		}
		r, err := s.open(in)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		if content, err = s.readAll(r); err != nil {
			return nil, err
		}
	}
	if !s.escapes {
		return content, nil
	}
	unescaped, err := feed.Unescape(string(content))
	if err != nil {
		return nil, app.Exit(s.badContent(), err)
	}
	return []byte(unescaped), nil
}

func (s *source) readAll(r io.Reader) ([]byte, error) {
	name := "standard input"
	if s.kind == fromFile {
		name = s.value
	}
	content, err := io.ReadAll(io.LimitReader(r, maxContentBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, withoutPath(err))
	case len(content) > maxContentBytes:
		return nil, fmt.Errorf("%s is larger than %s", name, app.FormatSize(maxContentBytes))
	case len(content) == 0 && s.kind == fromInput && !s.allowEmpty:
		return nil, errors.New("standard input is empty (--allow-empty publishes an empty message)")
	}
	return content, nil
}

// badContent is the exit code for content that cannot be published: an argument is a matter of usage.
func (s *source) badContent() int {
	if s.kind == fromArgument {
		return app.Usage
	}
	return app.Failed
}

// withoutPath takes operation and path out of an error that names them anyway.
func withoutPath(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}

// unescapeLine replaces the escapes of a line when that is asked for. A bad one refuses the line.
func (s *source) unescapeLine(line []byte, number int) ([]byte, error) {
	if !s.escapes || bytes.IndexByte(line, '\\') < 0 {
		return line, nil
	}
	unescaped, err := feed.Unescape(string(line))
	if err != nil {
		return nil, &feed.LineError{Number: number, Err: err}
	}
	return []byte(unescaped), nil
}
