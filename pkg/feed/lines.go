package feed

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ErrTooLong is the error, within a LineError, for a line that is longer than the maximum.
var ErrTooLong = errors.New("line is too long")

// LineError is an error in one line of the input. Reading can go on with the next line.
type LineError struct {
	Number int // of the line, from 1
	Err    error
}

// Error names the line and what is wrong with it.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Number, e.Err) }

// Unwrap returns the error without the number.
func (e *LineError) Unwrap() error { return e.Err }

// Lines reads a message a line, as mosquitto_pub -l and kcat do: a line ends with LF, which is not part of the message,
// and a CR before it stays. What follows the last LF is a line as well, unless it is empty. An empty line is an empty
// message.
type Lines struct {
	r      *bufio.Reader
	max    int // bytes of a line, without its LF
	number int
	long   []byte // a line that does not fit into r's buffer
}

// NewLines returns a reader of r's lines of at most max bytes. It holds at most twice that in memory, whatever r sends.
func NewLines(r io.Reader, max int) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, 64<<10), max: max}
}

// Next returns the next line and its number, from 1. The line is valid until the next call. A line that is too long is
// left out with a *LineError, after which Next goes on with the following one. Any other error is the reader's, io.EOF
// at its end.
func (l *Lines) Next() (line []byte, number int, err error) {
	l.number++
	l.long = l.long[:0]
	tooLong := false
	for {
		part, err := l.r.ReadSlice('\n')
		whole := err == nil
		if whole {
			part = part[:len(part)-1]
		}
		switch {
		case tooLong || len(l.long)+len(part) > l.max:
			tooLong = true
		case whole && len(l.long) == 0:
			return part, l.number, nil
		default:
			l.long = append(l.long, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err != nil && (err != io.EOF || len(l.long) == 0 && !tooLong):
			return nil, l.number, err
		case tooLong:
			return nil, l.number, &LineError{l.number, fmt.Errorf("%w: more than %d bytes", ErrTooLong, l.max)}
		}
		return l.long, l.number, nil
	}
}

// Buffered reports whether input is at hand that was read already, so that Next may not have to wait.
func (l *Lines) Buffered() bool { return l.r.Buffered() > 0 }
