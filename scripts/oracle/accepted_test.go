package oracle

import (
	"flag"
	"os"
	"strings"
	"testing"
)

// page has a table of the accepted differences, for users.
var page = flag.String("page", "../../docs/grip.md", "`file` that tells users of the accepted differences")

// accepted is a difference that is meant. The reason stands in the page word for word.
type accepted struct {
	cases string // regular expression for names of cases
	line  string // regular expression for lines: "- " begins Pushpin's, "+ " pushd's
	why   string
}

const any = ".*"

// Reasons for more than one difference.
const (
	libcurl     = "1.36 adds what libcurl adds, and decodes what comes encoded."
	features    = "Grip-Feature names what pushd serves."
	next        = "A stream hold with `prev-id` and `Grip-Link` are not served yet: 502 with a text that names them."
	sockets     = "WebSockets are not proxied yet: 501."
	askedTwice  = "A second after the first subscription of a channel Pushpin sends a held request to the backend once more (`update_on_first_subscription` in 1.41); pushd does not."
	oldVersion  = "HTTP/1.0 is answered as HTTP/1.1, the version that pushd speaks (RFC 9110, 6.2), with `Connection: close`."
	asItComes   = "pushd passes on what a backend sends as it comes, in chunks when the length is not known; Pushpin keeps back a short answer until it is whole. So a backend that breaks off gives 502 with Pushpin, and with pushd a connection that is closed before the end."
	saysClose   = "The stream's head says so: `Connection: close` (RFC 9112, 9.6)."
	varies      = "With `aco` pushd tells caches that the answer depends on Origin: `Vary: Origin`."
	noRoute     = "`Route not found` is Pushpin's text today; 1.36 names the host."
	ownDate     = "An answer of pushd's own has `Date` (RFC 9110, 6.6.1)."
	badRequests = "Pushpin closes the connection for a request that it cannot read; pushd answers 400 or 431 first."
	emptyBodies = "An instruct without a body gives an empty body; 1.36 takes that for an error of a filter and answers 502."
	refused     = "Pushpin holds on to a channel without a name, and has begun its answer when it finds more than 5 filters; pushd refuses both with 502."
	halfHead    = "Of half a head 1.36 makes an answer with an odd status, or none; pushd answers 502."
	retried     = "A request on a kept connection that the backend closes without an answer is sent again: by pushd once at most, on a new connection and only when that does no harm (RFC 9110, 9.2.2); by Pushpin up to 4 times, also after half an answer."
	brokenOff   = "Pushpin now and then breaks off a stream whose first body is empty, after its first item."
	headBodies  = "Pushpin sends a body after the head of a held HEAD request."
	clientsText = "pushd passes on the target as the client wrote it; Pushpin decodes and encodes it again, and closes the connection for characters that have no place there."
)

var acceptedList = []accepted{
	// What backends see.
	{any, `- backend \d+: accept(-encoding: deflate, gzip, br, zstd|: \*/\*)`, libcurl},
	{"encoded", `- answer 1: (HTTP/1\.1 502 .*|content-.*|body "Error while .*)`, libcurl},
	{"encoded", `\+ answer 1: (HTTP/1\.1 200 OK|content-encoding: gzip|content-length: 4|body "nope")`, libcurl},
	{any, `- backend \d+: grip-feature: status, session, link:next, .*`, features},
	{any, `\+ backend \d+: grip-feature: status, filter:skip-self, filter:skip-users, filter:require-sub`, features},
	{`poll-(timeout|timeout-status|404|wrong-format)`, `- backend 2: .*`, askedTwice},
	{"delete", `\+ backend 1: content-length: 0`, "Methods other than GET, HEAD and OPTIONS have `Content-Length: 0` when there is no body, as with Pushpin today."},
	{"host-case", `[-+] backend 1: host: (plain\.test|PLAIN\.Test)`, "Host is left as the client wrote it; 1.36 turns it to lower case."},
	{"hop-by-hop", `- backend 1: (te|trailer): .*`, "`TE`, `Trailer` and the fields that `Connection` names end at pushd (RFC 9110, 7.6.1)."},
	{"named-by-connection", `- backend 1: x-hop: 1`, "`TE`, `Trailer` and the fields that `Connection` names end at pushd (RFC 9110, 7.6.1)."},
	{"forwarded", `[-+] backend 1: x-forwarded-for: .*`, "Several fields `X-Forwarded-For` stay several when no rule changes them; Pushpin joins them."},
	{"escapes", `[-+] backend 1: GET .*`, clientsText},
	{"bad-target", `\+ (answer|backend) 1: .*`, clientsText},

	// How answers are framed.
	{any, `- answer 1: connection: Transfer-Encoding`, "Pushpin sends `Connection: Transfer-Encoding`, which is no connection option."},
	{"old|old-kept|old-chunks|poll-old|stream-old|no-host", `- answer 1: HTTP/1\.0 .*|\+ answer 1: (HTTP/1\.1 .*|connection: close)`, oldVersion},
	{"old-chunks", `- answer 1: (content-length: 24|body ".*")|\+ answer 1: body to the end ".*"`, asItComes},
	{"pieces|until-close|old-backend", `- answer 1: content-length: .*|\+ answer 1: (transfer-encoding: chunked|last chunk)`, asItComes},
	{"cut-body|cut-chunk", `- answer 1: (last chunk|HTTP/1\.1 502 .*|content-.*|body "Error while .*)`, asItComes},
	{"cut-body", `\+ answer 1: (HTTP/1\.1 200 OK|content-length: 100|4 bytes of 100: "part")`, asItComes},
	{"cut-chunk", `\+ answer 1: (HTTP/1\.1 200 OK|transfer-encoding: chunked|body "part"|no last chunk "")`, asItComes},
	{"stream-close", `- client: open|\+ client: closed`, "pushd closes the connection of a stream that has ended; Pushpin takes further requests."},
	{"stream.*|filter-.*|content-filters", `\+ answer 1: connection: close`, saysClose},
	{"stream-empty", `- client: closed|\+ client: open`, brokenOff},
	{"no-(route|path|host)", `\+ answer 1: date: DATE`, ownDate},
	{"cors", `- answer 1: access-control-expose-headers: Set-Cookie, X-A, Date|\+ answer 1: access-control-expose-headers: Date, Set-Cookie, X-A`, "The names in `Access-Control-Expose-Headers` are sorted."},
	{"cors", `\+ answer 1: vary: Origin`, varies},

	// Errors.
	{"no-(route|path|host)", `- answer 1: (body "No route for host: .*|content-length: .*)|\+ answer 1: (body "Route not found\\n"|content-length: 16)`, noRoute},
	{"no-reason", `[-+] answer 1: .*`, "A status line without a reason is taken; 1.36 answers 502."},
	{"half-head", `- .*`, halfHead},
	{"half-head", `\+ answer 1: (HTTP/1\.1 502 .*|connection: close|content-.*|body "Error while .*)|\+ client: closed`, halfHead},
	{"nothing|half-head|garbage|bad-length", `- backend [2-9]: .*`, retried},
	{"nothing", `\+ backend 2: .*`, retried},
	{"absolute", `- answer 1: .*|\+ (answer|backend) 1: .*`, "A target in absolute form is served (RFC 9112, 3.2.2); 1.36 finds no route for it."},
	{"large-head", `\+ answer 1: (HTTP/1\.1 431 .*|connection: close|content-.*|date: DATE|body "head too large\\n")`, badRequests},
	{"garbled", `\+ answer 1: (HTTP/1\.1 400 .*|connection: close|content-.*|date: DATE|body "bad request line: .*)`, badRequests},

	// Instructs and items.
	{"many-filters|empty-channel", `- answer 1: .*|- client: open`, refused},
	{"many-filters|empty-channel", `\+ answer 1: (HTTP/1\.1 502 .*|content-.*|body "Failed to parse accept instructions: .*)|\+ client: closed`, refused},
	{"json-empty.*|json-response-empty", `- answer 1: (HTTP/1\.1 502 .*|content-.*|body "(Error while|filter error|Failed to parse accept instructions: filter error).*)`, emptyBodies},
	{"json-empty.*|json-response-empty", `\+ answer 1: (HTTP/1\.1 200 OK|content-length: 0|body ""|date: DATE|x-a: 1)`, emptyBodies},
	{"poll-failed-patch-debug", `- answer 1: (content-length: 15|body "filter error: \\n")|\+ answer 1: (content-length: 32|body "Error while .*)`, "For a patch that cannot be applied 1.36 says `filter error` in debug mode."},
	{"content-filters", `- answer 1: (body "open\\n"|last chunk)|\+ answer 1: (body "open\\nplain\\n"|no last chunk "")`, "An item whose `content-filters` are not those of the subscription is left out, as with Pushpin today; 1.36 ends the stream."},
	{"stream-prev-id|grip-link", `- answer 1: .*|- client: .*`, next},
	{"stream-prev-id|grip-link", `\+ answer 1: (HTTP/1\.1 502 .*|content-.*|body "The backend asks for what is not served: .*)|\+ client: .*`, next},
	{"websocket", `- (answer|backend) 1: .*|- client: closed`, sockets},
	{"websocket", `\+ answer 1: (HTTP/1\.1 501 .*|content-.*|date: DATE|body "WebSockets of a backend are not served yet\\n")|\+ client: open`, sockets},
	{"stream-head", `- answer \d: .*|\+ answer 1: content-length: 0`, headBodies},
	{"poll-head", `- answer 2: .*`, headBodies},
}

// sometimes are the reasons for differences that are not there in every run.
var sometimes = []string{retried, asItComes, halfHead, brokenOff}

func TestPageListsAcceptedDifferences(t *testing.T) {
	text, err := os.ReadFile(*page)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(string(text)), " ") // wherever its lines break
	for _, a := range acceptedList {
		if !strings.Contains(words, a.why) {
			t.Errorf("%s does not say: %s", *page, a.why)
		}
	}
}
