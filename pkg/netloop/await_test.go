package netloop

import (
	"io"
	"testing"

	"holdfast/pkg/stats"
)

// A client that has asked and shut down its side gets the answer that takes a while, and the connection ends then.
func TestAwaitedAnswerOutlastsTheClientsEnd(t *testing.T) {
	answered := false
	r, addr := startLoop(t, func(_ *Config, r *recorder) {
		r.data = func(c uint32, b []byte, _ int) int {
			if !answered {
				r.loop.Await(c)
				return 0
			}
			r.loop.Send(c, append([]byte("answer to "), b...))
			return len(b)
		}
	})
	conn := dial(t, addr)
	c := r.connection(t, 0)
	write(t, conn, "question")
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	neighbour := dial(t, addr) // accepted after the end of the first was seen
	r.connection(t, 1)
	neighbour.Close()
	eventually(t, "the neighbour is gone", func() bool { return r.isGone(r.connection(t, 1)) })
	if r.isGone(c) {
		t.Fatal("the connection is gone before its answer")
	}
	r.call(func() {
		answered = true
		r.loop.Again(c)
	})
	got, err := io.ReadAll(conn)
	if string(got) != "answer to question" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	eventually(t, "the connection is gone", func() bool { return r.isGone(c) })
	if n := r.loop.stats.Closed[stats.CloseClient].Load(); n != 2 {
		t.Errorf("%d connections closed by the client, want 2", n)
	}
}
