package control

import (
	"strings"
	"testing"

	cli "holdfast/pkg/client"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
)

var _ Publisher = (*hub.Directory)(nil)

// BenchmarkPublish is one publisher with a bare item of 100 bytes, through the socket, to a hub that has no subscribers.
func BenchmarkPublish(b *testing.B) {
	c := dial(b, startServer(b, Options{Publisher: &discardHub{}}))
	p := c.Publisher(cli.PublisherOptions{})
	content := strings.Repeat("x", 100)
	it := &publish.Item{
		Channel:  "test",
		Formats:  publish.HTTPResponse | publish.HTTPStream | publish.WSMessage,
		Response: publish.Response{Body: content},
		Stream:   publish.Stream{Content: content},
		Message:  publish.Message{Content: content},
	}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Publish(ctx, it); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
}

// BenchmarkRoundTrip is the time from a publish to its ack, one at a time.
func BenchmarkRoundTrip(b *testing.B) {
	c := dial(b, startServer(b, Options{Publisher: &discardHub{}}))
	items := []publish.Item{*streamItem("test", 100)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Publish(b.Context(), items); err != nil {
			b.Fatal(err)
		}
	}
}
