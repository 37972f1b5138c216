package http1

import (
	"testing"
	"time"
)

// checkNoAllocs fails when f allocates. Its first run is not counted: arrays that are used again grow then.
func checkNoAllocs(t *testing.T, name string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s allocates %v times, want 0", name, n)
	}
}

func TestNothingAllocates(t *testing.T) {
	var req Request
	var resp Response
	browser, bad, half := []byte(browserHead), []byte("GET / HTTP/9.9\r\n"), []byte(browserHead[:300])
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
	body := []byte("5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nA: b\r\n\r\n")
	query := []byte("channel=a%20b&topic=c+d")
	buf := make([]byte, 0, 256)
	now := time.Unix(0, 0)

	checkNoAllocs(t, "Request.Parse", func() { _, _ = req.Parse(browser, 0, Limits{}) })
	checkNoAllocs(t, "Request.Parse of a bad head", func() { _, _ = req.Parse(bad, 0, Limits{}) })
	checkNoAllocs(t, "Request.Parse of half a head", func() { _, _ = req.Parse(half, 100, Limits{}) })
	checkNoAllocs(t, "Request.Field", func() { req.Field("Accept") })
	checkNoAllocs(t, "Request.HasToken", func() { req.HasToken("Accept-Encoding", "zstd") })
	checkNoAllocs(t, "Response.Parse", func() { _, _ = resp.Parse(answer, 0, Limits{}) })
	checkNoAllocs(t, "ChunkReader.Next", func() {
		var r ChunkReader
		for b := body; ; {
			_, n, err := r.Next(b)
			if err != nil {
				return
			}
			b = b[n:]
		}
	})
	checkNoAllocs(t, "NextParam and AppendUnescaped", func() {
		for q := query; len(q) > 0; {
			var v []byte
			_, v, q = NextParam(q)
			_, _ = AppendUnescaped(buf, v)
		}
	})
	checkNoAllocs(t, "AppendChunk", func() { AppendChunk(buf, query) })
	checkNoAllocs(t, "the head writers", func() {
		b := AppendStatusLine(buf, 200, "")
		b = AppendField(b, "Content-Type", "text/event-stream")
		b = AppendContentLength(b, 12345)
		AppendDate(b, now)
	})
	checkNoAllocs(t, "ValidFieldName and ValidFieldValue", func() {
		ValidFieldName("X-Name")
		ValidFieldValue(query)
	})
}
