package exchange

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/pkg/grip"

	"go.uber.org/goleak"
)

// TestMain fails when a test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// events is a loop that only takes notes.
type events struct {
	mu   sync.Mutex
	list []*Event
}

func (e *events) Post(task any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, task.(*Event))
}

func (e *events) kinds() (kinds []Kind) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.list {
		kinds = append(kinds, ev.Kind)
	}
	return kinds
}

func newExchange(t *testing.T, length int64) (*Exchange, *events) {
	t.Helper()
	e := &events{}
	x := New(t.Context(), e, 7, 8, Request{Method: "POST", Target: "/", Length: length})
	t.Cleanup(x.Done)
	return x, e
}

func reader(t *testing.T, x *Exchange) *Reader {
	t.Helper()
	r, err := x.Reader()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBodyArrivesInAnyPieces(t *testing.T) {
	want := make([]byte, 300_000)
	for i := range want {
		want[i] = byte(i * 7 / 5)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	x, e := newExchange(t, int64(len(want)))
	var got bytes.Buffer
	r := reader(t, x)
	for sent := 0; got.Len() < len(want); {
		if sent < len(want) {
			sent += x.Push(want[sent:min(len(want), sent+1+rnd.IntN(100_000))])
			if sent == len(want) {
				x.PushEnd(nil)
			}
		}
		b := make([]byte, 1+rnd.IntN(60_000))
		n, err := r.Read(b)
		if err != nil {
			t.Fatalf("Read after %d of %d bytes: %v", got.Len(), len(want), err)
		}
		got.Write(b[:n])
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the body is another one than was sent")
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read after the end = %d, %v, want 0, EOF", n, err)
	}
	for _, k := range e.kinds() {
		if k != Room {
			t.Errorf("event of kind %d, want only Room", k)
		}
	}
}

func TestPushIsBoundedAndRoomComesOnce(t *testing.T) {
	x, e := newExchange(t, -1)
	if n := x.Push(make([]byte, 2*maxUp)); n != maxUp {
		t.Fatalf("Push(%d bytes) = %d, want %d", 2*maxUp, n, maxUp)
	}
	if n := x.Push([]byte{1}); n != 0 {
		t.Fatalf("Push into a full exchange = %d, want 0", n)
	}
	r := reader(t, x)
	for i, read := range []int{maxUp / 4, maxUp / 4, maxUp / 4} {
		if _, err := io.ReadFull(r, make([]byte, read)); err != nil {
			t.Fatal(err)
		}
		if want := min(i, 1); len(e.kinds()) != want {
			t.Errorf("%d events after %d reads, want %d: room is told of at half", len(e.kinds()), i+1, want)
		}
	}
	if n := x.Push(make([]byte, 10)); n != 10 {
		t.Errorf("Push(10 bytes) = %d", n)
	}
}

func TestRoom(t *testing.T) {
	x, e := newExchange(t, -1)
	x.Push(make([]byte, 10))
	if n := x.Room(); n != maxUp-10 {
		t.Fatalf("Room = %d, want %d", n, maxUp-10)
	}
	x.Push(make([]byte, maxUp-10))
	r := reader(t, x)
	for i, want := range []int{0, 1} { // without the question nobody waits for the answer
		if i > 0 && x.Room() != 0 {
			t.Errorf("Room of a full exchange = %d", x.Room())
		}
		if _, err := io.ReadFull(r, make([]byte, maxUp)); err != nil {
			t.Fatal(err)
		}
		if n := len(e.kinds()); n != want {
			t.Errorf("%d events, want %d", n, want)
		}
		x.Push(make([]byte, maxUp))
	}
	x.Done()
	if n := x.Room(); n != maxUp {
		t.Errorf("Room after Done = %d, want %d", n, maxUp)
	}
}

func TestBodyThatBreaksOffDeliversWhatCame(t *testing.T) {
	x, _ := newExchange(t, 10)
	x.Push([]byte("abc"))
	broken := errors.New("bad chunk")
	x.PushEnd(broken)
	x.PushEnd(nil) // comes too late
	b, err := io.ReadAll(reader(t, x))
	if string(b) != "abc" || err != broken {
		t.Errorf("ReadAll = %q, %v, want abc and the error of PushEnd", b, err)
	}
	if x.Kept() {
		t.Error("Kept of a broken body")
	}
}

func TestNewReaderBeginsAgain(t *testing.T) {
	x, _ := newExchange(t, 6)
	x.Push([]byte("abc"))
	old := reader(t, x)
	if b, err := readN(old, 2); b != "ab" || err != nil {
		t.Fatalf("Read = %q, %v", b, err)
	}
	_ = old.Close()
	r := reader(t, x)
	x.Push([]byte("def"))
	x.PushEnd(nil)
	if b, err := io.ReadAll(r); string(b) != "abcdef" || err != nil {
		t.Errorf("ReadAll = %q, %v, want abcdef", b, err)
	}
	if _, err := old.Read(make([]byte, 1)); !IsStopped(err) {
		t.Errorf("Read of a closed reader: %v", err)
	}
	if !x.Kept() || string(x.Keep().Body) != "abcdef" || x.Keep().Request.Length != 6 {
		t.Errorf("Kept = %v, Keep = %+v", x.Kept(), x.Keep())
	}
}

func readN(r io.Reader, n int) (string, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return string(b), err
}

func TestLongBodyIsNotKept(t *testing.T) {
	for _, extra := range []int{0, 1} {
		x, _ := newExchange(t, -1)
		r := reader(t, x)
		for left := MaxKept + extra; left > 0; {
			n := x.Push(make([]byte, min(left, maxUp)))
			left -= n
			if _, err := io.ReadFull(r, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
		}
		x.PushEnd(nil)
		_, err := x.Reader()
		if tooLong := extra > 0; x.TooLong() != tooLong || x.Kept() == tooLong || (err == ErrNotKept) != tooLong {
			t.Errorf("%d bytes: TooLong = %v, Kept = %v, Reader: %v", MaxKept+extra, x.TooLong(), x.Kept(), err)
		}
	}
}

func TestStaleReaderDoesNotReadOn(t *testing.T) {
	x, _ := newExchange(t, -1)
	stale := reader(t, x)
	r := reader(t, x)
	for range 2 {
		x.Push(make([]byte, maxUp))
		if _, err := io.ReadFull(r, make([]byte, maxUp)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stale.Read(make([]byte, 1)); err != ErrNotKept {
		t.Errorf("Read = %v, want ErrNotKept", err)
	}
}

func TestWaitingReaderIsWoken(t *testing.T) {
	stop := errors.New("stop")
	for _, test := range []struct {
		name string
		wake func(x *Exchange, r *Reader)
		want error
	}{
		{"Abandon", func(x *Exchange, _ *Reader) { x.Abandon() }, ErrClientGone},
		{"Stop", func(_ *Exchange, r *Reader) { r.Stop(stop) }, stop},
		{"Close", func(_ *Exchange, r *Reader) { _ = r.Close() }, errClosed},
		{"Done", func(x *Exchange, _ *Reader) { x.Done() }, errDone},
		{"PushEnd", func(x *Exchange, _ *Reader) { x.PushEnd(nil) }, io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, _ := newExchange(t, 5)
				r := reader(t, x)
				got := make(chan error, 1)
				go func() {
					_, err := r.Read(make([]byte, 1))
					got <- err
				}()
				synctest.Wait()
				test.wake(x, r)
				if err := <-got; err != test.want {
					t.Errorf("Read = %v, want %v", err, test.want)
				}
			})
		})
	}
}

func TestAfterDoneTheBodyIsThrownAway(t *testing.T) {
	x, e := newExchange(t, -1)
	x.Push(make([]byte, maxUp+1))
	x.Done()
	if k := e.kinds(); len(k) != 1 || k[0] != Room {
		t.Errorf("events = %v, want one Room", k)
	}
	if n := x.Push(make([]byte, 3*maxUp)); n != 3*maxUp {
		t.Errorf("Push after Done = %d, want all", n)
	}
	x.Done()
	x.Abandon()
	if len(e.kinds()) != 1 {
		t.Errorf("events = %v after a second Done", e.kinds())
	}
}

func TestWriteHasCredits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, e := newExchange(t, 0)
		done := make(chan error, 1)
		go func() {
			for range maxPieces + 2 {
				if err := x.Write(Buffer()[:5]); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for want := maxPieces; want <= maxPieces+2; want++ {
			synctest.Wait()
			if n := len(e.kinds()); n != want {
				t.Fatalf("%d pieces are under way, want %d", n, want)
			}
			x.Took()
		}
		if err := <-done; err != nil {
			t.Errorf("Write: %v", err)
		}
	})
}

func TestWriteEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		stopping := errors.New("stopping")
		for _, test := range []struct {
			end  func(x *Exchange)
			want error
		}{
			{(*Exchange).Abandon, ErrClientGone},
			{func(*Exchange) { cancel(stopping) }, stopping},
		} {
			e := &events{}
			x := New(ctx, e, 0, 0, Request{})
			done := make(chan error)
			go func() {
				for range maxPieces {
					_ = x.Write(nil)
				}
				done <- x.Write(nil)
			}()
			synctest.Wait()
			test.end(x)
			if err := <-done; err != test.want {
				t.Errorf("Write = %v, want %v", err, test.want)
			}
			if err := x.Write(nil); err != test.want {
				t.Errorf("Write afterwards = %v, want %v", err, test.want)
			}
			if len(e.kinds()) != maxPieces {
				t.Errorf("%d events, want %d", len(e.kinds()), maxPieces)
			}
			x.Done()
		}
	})
}

func TestTookWithoutABodyIsABug(t *testing.T) {
	x, _ := newExchange(t, 0)
	defer func() {
		if recover() == nil {
			t.Error("Took does not panic")
		}
	}()
	x.Took()
}

func TestPlanRepeats(t *testing.T) {
	x, _ := newExchange(t, -1)
	x.Push([]byte("body"))
	x.PushEnd(nil)
	if _, err := io.ReadAll(reader(t, x)); err != nil {
		t.Fatal(err)
	}
	p := &Plan{Again: x.Keep(), Route: "r"}
	last := []grip.LastID{{Channel: "c", ID: "1"}}
	for range 2 { // as often as needed
		y := p.Repeat(t.Context(), &events{}, 1, 2, last)
		if y.Conn != 1 || y.Ticket != 2 || y.Route != "r" || len(y.Last) != 1 || y.Request.Method != "POST" || y.Request.Length != 4 {
			t.Errorf("Repeat = %+v", y)
		}
		if n, whole := y.Whole(0); n != 4 || !whole {
			t.Errorf("Whole = %d, %v", n, whole)
		}
		if b, err := io.ReadAll(reader(t, y)); string(b) != "body" || err != nil {
			t.Errorf("body = %q, %v", b, err)
		}
		if !y.Kept() {
			t.Error("it is not kept for the next time")
		}
		y.Done()
	}
}

func TestWholeWaitsForTheEnd(t *testing.T) {
	const wait = 20 * time.Millisecond
	for _, test := range []struct {
		name  string
		send  func(x *Exchange)
		took  time.Duration
		bytes int64
		whole bool
	}{
		{"an end at once", func(x *Exchange) { x.Push([]byte("body")); x.PushEnd(nil) }, 0, 4, true},
		{"an end soon", func(x *Exchange) { time.Sleep(wait / 2); x.Push([]byte("body")); x.PushEnd(nil) }, wait / 2, 4, true},
		{"an end too late", func(x *Exchange) { x.Push([]byte("body")); time.Sleep(2 * wait); x.PushEnd(nil) }, wait, 4, false},
		{"no room", func(x *Exchange) { x.Push(make([]byte, maxUp)) }, 0, maxUp, false},
		{"a client that leaves", func(x *Exchange) { x.Abandon() }, 0, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, _ := newExchange(t, -1)
				go test.send(x)
				begun := time.Now()
				n, whole := x.Whole(wait)
				if took := time.Since(begun); n != test.bytes || whole != test.whole || took != test.took {
					t.Errorf("Whole = %d, %v after %v, want %d, %v after %v", n, whole, took, test.bytes, test.whole, test.took)
				}
				synctest.Wait()
				time.Sleep(2 * wait)
			})
		})
	}
}

func TestBytes(t *testing.T) {
	small, _ := newExchange(t, 0)
	chunked, _ := newExchange(t, -1)
	long, _ := newExchange(t, 1<<40)
	short, _ := newExchange(t, 100)
	fields := New(t.Context(), &events{}, 0, 0, Request{Fields: []Field{{Name: "A", Value: strings.Repeat("x", 1000)}}})
	defer fields.Done()
	if s := small.Bytes(); chunked.Bytes() != s+maxUp || long.Bytes() != s+maxUp || short.Bytes() != s+100 || fields.Bytes() < s+1000 {
		t.Errorf("Bytes = %d, %d, %d, %d, %d", s, chunked.Bytes(), long.Bytes(), short.Bytes(), fields.Bytes())
	}
}

func TestRecycleTakesOnlyBuffers(t *testing.T) {
	b := Buffer()
	if len(b) != MaxWrite {
		t.Errorf("a buffer has %d bytes, want %d", len(b), MaxWrite)
	}
	Recycle(b[:3])
	Recycle([]byte("short"))
	Recycle(nil)
	if len(Buffer()) != MaxWrite {
		t.Error("a buffer came back short")
	}
}
