package sse

import (
	"errors"
	"strconv"
	"strings"
)

// KeepAlive is the shortest block that a client ignores: an empty comment.
const KeepAlive = ":\n\n"

// Event is one Server-Sent Event. Empty fields but Data are left out of the stream.
type Event struct {
	Event string // the event type; a browser takes "" for "message"
	ID    string
	Data  string // may have several lines, ended by LF, CR or CR LF
	Retry int    // reconnection time in milliseconds
}

// The fields that cannot be written.
var (
	ErrEvent = errors.New("sse: event contains CR, LF or NUL")
	ErrID    = errors.New("sse: id contains CR, LF or NUL")
	ErrRetry = errors.New("sse: retry is negative")
)

// Check returns an error that names the first field with which AppendEvent can do nothing, or nil.
func (e Event) Check() error {
	switch {
	case !oneLine(e.Event):
		return ErrEvent
	case !oneLine(e.ID):
		return ErrID
	case e.Retry < 0:
		return ErrRetry
	}
	return nil
}

func oneLine(s string) bool {
	return strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, '\r') < 0 && strings.IndexByte(s, 0) < 0
}

// AppendEvent appends e with the empty line that dispatches it. An event without data is dispatched too. Line ends in
// Data reach the client as LF. A field that Check complains of is left out, so that no content can break its frame.
func AppendEvent(dst []byte, e Event) []byte {
	if e.Event != "" && oneLine(e.Event) {
		dst = appendLine(dst, "event: ", e.Event)
	}
	if e.ID != "" && oneLine(e.ID) {
		dst = appendLine(dst, "id: ", e.ID)
	}
	if e.Retry > 0 {
		dst = appendRetry(dst, e.Retry)
	}
	return append(appendLines(dst, "data: ", e.Data), '\n')
}

// AppendComment appends text as a comment, which clients ignore. Each line of it becomes a line of the comment.
func AppendComment(dst []byte, text string) []byte {
	if text == "" {
		return append(dst, KeepAlive...)
	}
	return append(appendLines(dst, ": ", text), '\n')
}

// AppendRetry appends a block that sets the client's reconnection time to ms milliseconds, which is not negative.
func AppendRetry(dst []byte, ms int) []byte {
	return append(appendRetry(dst, max(ms, 0)), '\n')
}

// AppendID appends a block that sets the client's last event ID and dispatches no event (HTML, 9.2.6).
func AppendID(dst []byte, id string) []byte {
	if !oneLine(id) {
		return dst
	}
	return append(appendLine(dst, "id: ", id), '\n')
}

func appendRetry(dst []byte, ms int) []byte {
	dst = append(dst, "retry: "...)
	return append(strconv.AppendInt(dst, int64(ms), 10), '\n')
}

// appendLines appends each line of text behind prefix. Text that ends with a line end has an empty last line.
func appendLines(dst []byte, prefix, text string) []byte {
	for {
		end, next := lineEnd(text)
		dst = appendLine(dst, prefix, text[:end])
		if next < 0 {
			return dst
		}
		text = text[next:]
	}
}

func appendLine(dst []byte, prefix, text string) []byte {
	dst = append(dst, prefix...)
	dst = append(dst, text...)
	return append(dst, '\n')
}

// lineEnd finds the first CR LF, LF or CR in s: the line ends before end, the next one begins at next, which is
// negative when there is no line end.
func lineEnd(s string) (end, next int) {
	i := indexBreak(s)
	switch {
	case i == len(s):
		return i, -1
	case s[i] == '\r' && i+1 < len(s) && s[i+1] == '\n':
		return i, i + 2
	}
	return i, i + 1
}
