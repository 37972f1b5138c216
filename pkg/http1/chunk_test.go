package http1

import (
	"io"
	"strings"
	"testing"
)

// readChunks decodes b, handed over in pieces of size bytes. N is the number of bytes used.
func readChunks(b []byte, size int) (data []byte, n int, err error) {
	var r ChunkReader
	for n < len(b) {
		piece := b[n:min(len(b), n+size)]
		for {
			d, used, err := r.Next(piece)
			data, n, piece = append(data, d...), n+used, piece[used:]
			if err == ErrShort {
				break
			}
			if err != nil {
				return data, n, err
			}
		}
	}
	return data, n, ErrShort
}

var goodBodies = []struct{ rule, body, data string }{
	{"empty", "0\r\n\r\n", ""},
	{"one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"},
	{"several chunks, hexadecimal in both cases", "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a"},
	{"leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello"},
	{"extensions", "5;a=b;c=\"d\te\"\r\nhello\r\n0;x\r\n\r\n", "hello"},
	{"white space before an extension", "5 \t; a = b ;c\r\nhello\r\n0 ;x\r\n\r\n", "hello"},
	{"white space before the line end", "5 \t\r\nhello\r\n0 \r\n\r\n", "hello"},
	{"trailers", "5\r\nhello\r\n0\r\nA: b\r\nLong-Name:\r\n\r\n", "hello"},
	{"data that looks like the end", "7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n\r\n"},
	{"a line as long as allowed", "5;" + strings.Repeat("x", maxChunkLine-4) + "\r\nhello\r\n0\r\n\r\n", "hello"},
}

var badBodies = []struct {
	body string
	want error
}{
	{"\r\n", errChunkSize},
	{";a\r\n", errChunkSize},
	{" 5\r\n", errChunkSize},
	{"-5\r\n", errChunkSize},
	{"0x5\r\n", errChunkSize},
	{"5 5\r\n", errChunkSize},
	{"5 a\r\n", errChunkSize},
	{"5g\r\n", errChunkSize},
	{"5\nhello\r\n", errChunkSize},
	{"5;a\nhello\r\n", errChunkByte},
	{"5;\x00\r\n", errChunkByte},
	{"5\rx", errChunkEnd},
	{"5\r\nhelloX", errChunkEnd},
	{"5\r\nhello\n", errChunkEnd},
	{"5\r\nhello\rX", errChunkEnd},
	{strings.Repeat("0", maxChunkDigits+1), errChunkTooLarge},
	{"ffffffffffffffff\r\n", errChunkTooLarge},
	{"5;" + strings.Repeat("x", maxChunkLine), errChunkLine},
	{"0\r\n\n", errTrailer},
	{"0\r\n: a\r\n", errTrailer},
	{"0\r\nA : b\r\n", errTrailer},
	{"0\r\nA\r\n", errTrailer},
	{"0\r\nA: b\n", errTrailer},
	{"0\r\nA: b\r\n c\r\n", errTrailer},
	{"0\r\nA: \x00", errTrailer},
	{"0\r\n\rX", errTrailer},
	{"0\r\nA: " + strings.Repeat("x", maxTrailerBytes), errTrailerLarge},
	{"0\r\n" + strings.Repeat("A: b\r\n", maxTrailerBytes), errTrailerLarge},
}

func TestChunkReader(t *testing.T) {
	for _, tt := range goodBodies {
		for size := 1; size <= len(tt.body)+4; size++ {
			data, n, err := readChunks([]byte(tt.body+"next"), size)
			if string(data) != tt.data || n != len(tt.body) || err != io.EOF {
				t.Errorf("%s: %q in pieces of %d = %q, %d, %v, want %q, %d, EOF", tt.rule, tt.body, size, data, n, err, tt.data, len(tt.body))
			}
		}
		for i := range len(tt.body) {
			if _, n, err := readChunks([]byte(tt.body[:i]), i+1); err != ErrShort || n != i {
				t.Errorf("%s: the first %d bytes: used %d, %v, want all and ErrShort", tt.rule, i, n, err)
			}
		}
	}
}

func TestChunkReaderRefuses(t *testing.T) {
	for _, tt := range badBodies {
		for _, size := range []int{1, 2, 3, len(tt.body)} {
			if _, _, err := readChunks([]byte(tt.body), size); err != tt.want {
				t.Errorf("%.60q in pieces of %d: %v, want %v", tt.body, size, err, tt.want)
			}
		}
	}
}

func TestChunkReaderEndsForGood(t *testing.T) {
	var r ChunkReader
	if _, n, err := r.Next([]byte(FinalChunk)); err != io.EOF || n != len(FinalChunk) {
		t.Fatalf("Next(FinalChunk) = %d, %v, want %d, EOF", n, err, len(FinalChunk))
	}
	for _, more := range []string{"", "5\r\nhello"} {
		if d, n, err := r.Next([]byte(more)); len(d) != 0 || n != 0 || err != io.EOF {
			t.Errorf("Next(%q) after the end = %q, %d, %v, want nothing used and EOF", more, d, n, err)
		}
	}
}

func TestAppendChunkIsReadBack(t *testing.T) {
	var body []byte
	var want string
	for _, size := range []int{1, 15, 16, 0, 255, 4096, 70000} {
		data := strings.Repeat("d", size)
		body = AppendChunk(body, []byte(data))
		want += data
	}
	body = append(append(append(AppendChunkHead(body, 26), "abcdefghijklmnopqrstuvwxyz"...), ChunkEnd...), FinalChunk...)
	want += "abcdefghijklmnopqrstuvwxyz"
	if data, n, err := readChunks(body, 1000); string(data) != want || n != len(body) || err != io.EOF {
		t.Errorf("read back %d bytes of data from %d, %v, want %d from %d, EOF", len(data), n, err, len(want), len(body))
	}
	if got, want := string(AppendChunk(nil, []byte("hello, world"))), "c\r\nhello, world\r\n"; got != want {
		t.Errorf("AppendChunk = %q, want %q", got, want)
	}
}

func TestAppendChunkHeadPanicsWithoutData(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("AppendChunkHead(nil, 0) did not panic, but would end the body")
		}
	}()
	AppendChunkHead(nil, 0)
}

func TestEmptyChunked(t *testing.T) {
	for _, tt := range []struct {
		body string
		n    int
		err  error
	}{
		{"0\r\n\r\n", 5, nil},
		{"0\r\n\r\nGET /next", 5, nil},
		{"000 \r\n\r\n", 8, nil},
		{"0;a=b\r\nX: y\r\n\r\n", 15, nil},
		{"5\r\nhello", 0, ErrContent},
		{"5\r\n", 0, ErrContent},
		{"5", 0, ErrContent},
		{"05", 0, ErrContent},
		{"", 0, ErrShort},
		{"0", 0, ErrShort},
		{"0\r\n\r", 0, ErrShort},
		{"0\r\nX", 0, ErrShort},
		{"x", 0, errChunkSize},
		{"0\n", 0, errChunkSize},
		{"0\r\n\n", 0, errTrailer},
	} {
		if n, err := EmptyChunked([]byte(tt.body)); n != tt.n || err != tt.err {
			t.Errorf("EmptyChunked(%q) = %d, %v, want %d, %v", tt.body, n, err, tt.n, tt.err)
		}
	}
}
