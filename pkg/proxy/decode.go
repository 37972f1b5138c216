package proxy

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"

	"holdfast/pkg/grip"
)

// decodeHold takes gzip or deflate off a response with instructions for a hold, which goes out with
// what items add. Other codings stay, and are not served. What is read is bounded where it is read:
// a decoder has no more than a window of 32 KiB in memory.
func decodeHold(resp *http.Response) {
	if resp.Header.Get("Grip-Hold") == "" && !grip.IsJSON(resp.Header) {
		return
	}
	codings := resp.Header.Values("Content-Encoding")
	if len(codings) != 1 {
		return
	}
	var open func(*bufio.Reader) (io.Reader, error)
	switch strings.ToLower(strings.TrimSpace(codings[0])) {
	case "gzip", "x-gzip":
		open = func(r *bufio.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	case "deflate":
		open = inflate
	default:
		return
	}
	delete(resp.Header, "Content-Encoding")
	resp.ContentLength = -1
	resp.Body = &decoder{ReadCloser: resp.Body, open: open}
}

// inflate decodes deflate: in the format of zlib (RFC 9110, 8.4.1.2), or bare, as some servers send
// it.
func inflate(r *bufio.Reader) (io.Reader, error) {
	if b, err := r.Peek(2); err == nil && b[0]&0x0f == 8 && (int(b[0])<<8|int(b[1]))%31 == 0 {
		return zlib.NewReader(r)
	}
	return flate.NewReader(r), nil
}

// decoder is a response's body without its coding. It reads nothing before it is read.
type decoder struct {
	io.ReadCloser
	open    func(*bufio.Reader) (io.Reader, error)
	decoded io.Reader
}

// Read returns decoded bytes. A body without a byte is empty.
func (d *decoder) Read(b []byte) (n int, err error) {
	if d.decoded == nil {
		r := bufio.NewReader(d.ReadCloser)
		if _, err := r.Peek(1); err != nil {
			return 0, err
		}
		if d.decoded, err = d.open(r); err != nil {
			return 0, unexpected(err)
		}
	}
	return d.decoded.Read(b)
}
