package feed

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// readLines returns what Next gives until the end, refused lines as "!NUMBER".
func readLines(r io.Reader, max int) (got []string, err error) {
	lines := NewLines(r, max)
	for {
		line, number, err := lines.Next()
		var bad *LineError
		switch {
		case errors.Is(err, ErrTooLong) && errors.As(err, &bad) && bad.Number == number:
			got = append(got, fmt.Sprintf("!%d", number))
		case err == io.EOF:
			return got, nil
		case err != nil:
			return got, err
		default:
			got = append(got, string(line))
		}
	}
}

func TestLines(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"\n", []string{""}},
		{"a\nb\n", []string{"a", "b"}},
		{"a\nb", []string{"a", "b"}},
		{"a\n\nb\n", []string{"a", "", "b"}},
		{"a\r\nb\r", []string{"a\r", "b\r"}},
		{"a\x00\xff\n", []string{"a\x00\xff"}},
		{"12345678\n123456789\nx\n", []string{"12345678", "!2", "x"}},
		{"123456789", []string{"!1"}},
		{"12345678", []string{"12345678"}},
		{"123456789\n", []string{"!1"}},
	} {
		for name, r := range map[string]io.Reader{
			"at once":    strings.NewReader(tt.in),
			"by bytes":   iotest.OneByteReader(strings.NewReader(tt.in)),
			"early EOF":  iotest.DataErrReader(strings.NewReader(tt.in)),
			"half reads": iotest.HalfReader(strings.NewReader(tt.in)),
		} {
			if got, err := readLines(r, 8); err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s: lines of %q = %q, %v, want %q", name, tt.in, got, err, tt.want)
			}
		}
	}
}

func TestLinesAroundTheBuffer(t *testing.T) {
	const buffer = 64 << 10
	for _, size := range []int{buffer - 1, buffer, buffer + 1, 3*buffer - 1, 3 * buffer, 3*buffer + 1} {
		long := strings.Repeat("x", size)
		for _, max := range []int{size - 1, size} {
			want := []string{"a", long, "b"}
			if max < size {
				want[1] = "!2"
			}
			got, err := readLines(strings.NewReader("a\n"+long+"\nb"), max)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%d bytes of at most %d: %d lines, %v, want %d", size, max, len(got), err, len(want))
			}
		}
	}
}

// endless is a line without end, or with the end after n bytes.
type endless struct{ n int }

func (e *endless) Read(b []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n := min(len(b), e.n)
	e.n -= n
	for i := range b[:n] {
		b[i] = 'x'
	}
	return n, nil
}

func TestHugeLineTakesBoundedMemory(t *testing.T) {
	lines := NewLines(&endless{n: 256 << 20}, 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := lines.Next()
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrTooLong) {
		t.Fatalf("Next = %v, want %v", err, ErrTooLong)
	}
	if want := "line 1: line is too long: more than 1048576 bytes"; err.Error() != want {
		t.Errorf("error is %q, want %q", err, want)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("a line of 256 MiB allocated %d bytes, want at most 8 MiB", got)
	}
}

func TestLineIsGivenAsSoonAsItIsThere(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	lines := NewLines(r, 100)
	for _, want := range []string{"one", "two"} {
		go io.WriteString(w, want+"\n") // the pipe stays open: only a whole line is there
		if line, _, err := lines.Next(); err != nil || string(line) != want {
			t.Fatalf("Next = %q, %v, want %q", line, err, want)
		}
	}
	if lines.Buffered() {
		t.Error("Buffered = true after the last line, want false")
	}
}

func TestLinesPassOnReadErrors(t *testing.T) {
	broken := errors.New("broken")
	lines := NewLines(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), 100)
	if line, _, err := lines.Next(); err != nil || string(line) != "a" {
		t.Fatalf("Next = %q, %v, want a", line, err)
	}
	if line, _, err := lines.Next(); err != broken {
		t.Errorf("Next = %q, %v, want %v", line, err, broken)
	}
}

func TestItems(t *testing.T) {
	items := NewItems(strings.NewReader(strings.Join([]string{
		`{"channel":"a","formats":{"http-stream":{"content":"1"}}}`,
		"  \r",
		`{"channel":"b"}`,
		`{`,
		`{"channel":"c","formats":{"sse":{"data":"` + strings.Repeat("x", 300) + `"}}}`,
		`{"channel":"d","formats":{"sse":{"data":"4"}}}` + "\r",
	}, "\n")), 200)
	for _, want := range []struct {
		number  int
		channel string
		err     string
	}{
		{1, "a", ""},
		{3, "", "line 3: no formats specified"},
		{4, "", "line 4: not valid JSON: unexpected end of JSON input"},
		{5, "", "line 5: line is too long: more than 200 bytes"},
		{6, "d", ""},
	} {
		it, number, err := items.Next()
		text := ""
		if err != nil {
			text = err.Error()
		}
		if number != want.number || text != want.err || err == nil && it.Channel != want.channel {
			t.Errorf("Next = %+v, %d, %v, want %+v", it, number, err, want)
		}
	}
	if it, _, err := items.Next(); err != io.EOF {
		t.Errorf("Next at the end = %+v, %v, want EOF", it, err)
	}
}

// FuzzLines checks that the lines of any input put together again are the input.
func FuzzLines(f *testing.F) {
	f.Add("a\r\nb\n\nc", 3)
	f.Fuzz(func(t *testing.T, in string, half int) {
		if half < 0 || half > len(in) {
			half = len(in) / 2
		}
		r := io.MultiReader(strings.NewReader(in[:half]), strings.NewReader(in[half:]))
		got, err := readLines(r, len(in))
		if err != nil {
			t.Fatal(err)
		}
		whole := strings.Join(got, "\n")
		if strings.HasSuffix(in, "\n") {
			whole += "\n"
		}
		if whole != in {
			t.Errorf("lines of %q = %q", in, got)
		}
	})
}
