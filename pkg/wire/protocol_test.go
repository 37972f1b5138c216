package wire

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

var update = flag.Bool("update", false, "write the examples of docs/protocol.md")

const protocolPage = "../../docs/protocol.md"

// examples are the frames that the page shows, by the name in the comment above each.
func examples() map[string][]byte {
	stream := func(channel, content string) *publish.Item {
		return &publish.Item{Channel: channel, Formats: publish.HTTPStream, Stream: publish.Stream{Content: content}}
	}
	full := &publish.Item{
		Channel: "news", ID: "8", PrevID: "7", Epoch: "e1", NoSeq: true, Size: 120, Meta: map[string]string{"sender": "bob"},
		Formats: publish.HTTPResponse | publish.HTTPStream | publish.WSMessage | publish.SSE,
		Response: publish.Response{Body: "b", Code: 404, Reason: "Gone", Headers: []publish.Header{{Name: "X-A", Value: "1"}},
			ContentFilters: []string{"f"}},
		Stream:  publish.Stream{Content: "s\n", ContentFilters: []string{"f"}},
		Message: publish.Message{Action: publish.Close, Code: 4001, Reason: "bye"},
		Event:   publish.Event{Data: "d", Event: "up", ID: "9", Retry: 3000},
	}
	batch := AppendBatchHead(nil, 100, 0)
	batch = AppendItem(batch, stream("a", "x"))
	batch = AppendItem(batch, stream("b", "y"))
	FinishBatch(batch, 2)
	return map[string][]byte{
		"hello of a client": AppendHello(nil, &Hello{Version: Version, Program: "example 1.0", Role: RolePublish}),
		"hello of the server": AppendHello(nil, &Hello{Version: Version, Program: "pushd 1.0", PID: 4242,
			MaxFrame: MaxFrame, MaxMessage: 1 << 20, Features: []string{"publish", "stats"}}),
		"publish":                AppendPublish(nil, 1, 0, stream("test", "hello\n")),
		"publish of a full item": AppendPublish(nil, 2, AcceptedOnly, full),
		"publish-batch":          batch,
		"ack-batch": AppendAcks(nil, []Ack{{ID: 1, Accepted: true, Receivers: 12},
			{ID: 2, Err: &Error{BadItem, "channel name is empty"}}}),
		"stats-request":   AppendCold(nil, TypeStatsRequest, &Request{ID: 7}),
		"stats-subscribe": AppendCold(nil, TypeStatsSubscribe, &Subscribe{ID: 8, IntervalMS: 1000}),
		"stats-snapshot": AppendCold(nil, TypeStatsSnapshot, &Snapshot{ID: 7, Snapshot: stats.Snapshot{
			Connections: stats.Connections{Total: 1, Events: 1}, Accepted: 3, Closed: map[string]uint64{"client": 2},
			Channels: 1, Subscriptions: 1, Version: "1.0", Loops: []stats.LoopSnapshot{{Connections: 1}}}}),
		"connections-request": AppendCold(nil, TypeConnectionsRequest, &ConnectionsRequest{ID: 10, Query: stats.ConnectionQuery{
			Top: 2, By: stats.ByQueued, Filter: stats.ConnectionFilter{Kind: "ws"}}}),
		"connections": AppendCold(nil, TypeConnections, &Connections{ID: 10, List: stats.ConnectionList{Matched: 1, Total: 5,
			Connections: []stats.ConnectionInfo{{ID: "0.1.15pf", Kind: "ws", State: "held", Address: "192.0.2.1:4711", AgeSeconds: 60,
				QuietSeconds: 1.5, QueuedBytes: 100, Subscriptions: 1, Channels: []string{"news"}}}}}),
		"channels-request": AppendCold(nil, TypeChannelsRequest, &ChannelsRequest{ID: 11, Query: stats.ChannelQuery{
			Top: 1, By: stats.ByRate, WindowMS: 1000}}),
		"channels": AppendCold(nil, TypeChannels, &Channels{ID: 11, List: stats.ChannelList{Matched: 3, WindowMS: 1001,
			Channels: []stats.ChannelInfo{{Name: "news", Subscribers: 2, Items: 1, Deliveries: 2}}}}),
		"routes-request": AppendCold(nil, TypeRoutesRequest, &Request{ID: 12}),
		"routes": AppendCold(nil, TypeRoutes, &Routes{ID: 12, Routes: []stats.RouteInfo{{ID: "api", Match: "*,path_beg=/api",
			Targets: []string{"127.0.0.1:8080"}, Requests: 7, Errors: map[string]uint64{"timeout": 1}}}}),
		"close-request":    AppendCold(nil, TypeCloseRequest, &CloseRequest{ID: 13, Query: stats.CloseQuery{IDs: []string{"0.1.15pf"}}}),
		"closed":           AppendCold(nil, TypeClosed, &Closed{ID: 13, Closed: 1}),
		"events-subscribe": AppendCold(nil, TypeEventsSubscribe, &EventsSubscribe{ID: 14, Filter: stats.EventFilter{Types: []string{stats.EventDisconnect}}}),
		"events": AppendCold(nil, TypeEvents, &Events{ID: 14, Batch: stats.EventBatch{Lost: 3, Events: []stats.Event{{UnixMS: 1_700_000_000_000,
			Type: stats.EventDisconnect, Connection: "0.1.15pf", Kind: "ws", Address: "192.0.2.1:4711", Reason: "client"}}}}),
		"ping": AppendCold(nil, TypePing, &Request{ID: 9}),
		"pong": AppendCold(nil, TypePong, &Request{ID: 9}),
		"error": AppendCold(nil, TypeError, &Failure{Code: FrameTooLarge,
			Text: tooLarge(100_000_000, MaxFrame).Text, Fatal: true}),
	}
}

// hexLines shows b as hexadecimal, 24 bytes a line.
func hexLines(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(24, len(b))
		fmt.Fprintf(&s, "% x\n", b[:n])
		b = b[n:]
	}
	return s.String()
}

var exampleBlock = regexp.MustCompile("(?s)<!-- example: ([^\n]+) -->\n```\n(.*?)```\n")

// TestProtocolPageShowsTheBytes compares the examples of docs/protocol.md with what this package writes.
func TestProtocolPageShowsTheBytes(t *testing.T) {
	page, err := os.ReadFile(protocolPage)
	if err != nil {
		t.Fatal(err)
	}
	left := examples()
	written := exampleBlock.ReplaceAllStringFunc(string(page), func(block string) string {
		parts := exampleBlock.FindStringSubmatch(block)
		name, got := parts[1], parts[2]
		frame, ok := left[name]
		if !ok {
			t.Errorf("the page has an example %q, which this test does not know", name)
			return block
		}
		delete(left, name)
		want := hexLines(frame)
		if got != want && !*update {
			t.Errorf("example %q:\ngot\n%swant\n%s", name, got, want)
		}
		return fmt.Sprintf("<!-- example: %s -->\n```\n%s```\n", name, want)
	})
	for name := range left {
		t.Errorf("the page does not show the example %q", name)
	}
	if *update {
		if err := os.WriteFile(protocolPage, []byte(written), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestProtocolPageListsTheCodes looks for every code and type in the page's tables.
func TestProtocolPageListsTheCodes(t *testing.T) {
	page, err := os.ReadFile(protocolPage)
	if err != nil {
		t.Fatal(err)
	}
	for code := BadFrame; code <= BadRequest; code++ {
		if row := fmt.Sprintf("\n| %d | %s | ", int(code), code); !strings.Contains(string(page), row) {
			t.Errorf("the page does not list code %d, %s", int(code), code)
		}
	}
}
