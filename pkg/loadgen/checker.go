package loadgen

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"holdfast/pkg/http1"
	"holdfast/pkg/sse"
)

// checker reads the body of one response in full: the chunked transfer coding, the event stream in it, and in every
// message the text that was published.
type checker struct {
	chunked  bool
	textSize int
	chunks   http1.ChunkReader
	events   sse.Decoder
	want     []byte // scratch
}

func newChecker(chunked bool, textSize int) *checker {
	return &checker{chunked: chunked, textSize: textSize, events: sse.Decoder{MaxEvent: textSize + 4<<10}}
}

// take reads what has arrived and returns how many messages ended in it. After an error the checker must not be used.
func (c *checker) take(b []byte) (messages int, err error) {
	if !c.chunked {
		return c.body(b)
	}
	for {
		data, n, err := c.chunks.Next(b)
		switch {
		case errors.Is(err, http1.ErrShort), errors.Is(err, io.EOF):
			return messages, nil // the end of the connection is counted elsewhere
		case err != nil:
			return messages, fmt.Errorf("transfer coding: %w", err)
		}
		b = b[n:]
		m, err := c.body(data)
		messages += m
		if err != nil {
			return messages, err
		}
	}
}

func (c *checker) body(b []byte) (messages int, err error) {
	for {
		n, err := c.events.Next(b)
		switch {
		case errors.Is(err, sse.ErrShort):
			return messages, nil
		case err != nil:
			return messages, fmt.Errorf("event stream: %w", err)
		}
		b = b[n:]
		if !bytes.HasPrefix(c.events.Data, []byte(stampPrefix)) {
			continue // the opening of a stream
		}
		m, state := parseMarker(c.events.Data)
		c.want = appendText(c.want[:0], c.textSize, time.Unix(0, m.at), m.number)
		if state != whole || !bytes.Equal(c.events.Data, c.want) {
			return messages, fmt.Errorf("message of %d bytes is not the one of %d that was published: %.60q", len(c.events.Data),
				c.textSize, c.events.Data)
		}
		messages++
	}
}
