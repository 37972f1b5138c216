package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// stricter are the refusals of requests that net/http accepts, and why they are made all the same.
var stricter = map[error]string{
	errFold:          "RFC 9112 5.2: a server may refuse obs-fold; net/http joins the lines",
	errNameSpace:     "RFC 9112 5.1: must be refused; net/http leaves it to its server",
	errName:          "RFC 9110 5.1: net/http leaves names with spaces inside to its server",
	errNoHost:        "RFC 9112 3.2: net/http leaves this to its server",
	errHost:          "RFC 9112 3.2: net/http leaves this to its server",
	errLengths:       "RFC 9112 6.3 allows to refuse equal repeated lengths; a proxy behind may not",
	errCodingLength:  "RFC 9112 6.1: net/http drops the length; refusing ends the attempt",
	errCodingOld:     "RFC 9112 6.1: net/http ignores Transfer-Encoding in HTTP/1.0",
	errCoding:        "net/http ignores Transfer-Encoding in HTTP/1.0",
	errCodings:       "net/http ignores Transfer-Encoding in HTTP/1.0",
	errChunkedPlace:  "net/http ignores Transfer-Encoding in HTTP/1.0",
	errNoCoding:      "net/http ignores Transfer-Encoding in HTTP/1.0",
	errFragment:      "RFC 9112 3.2: a target has no fragment; net/http takes # for a part of the path",
	errTargetForm:    "RFC 9110 4.2: a scheme other than http and https is not served here",
	errAuthority:     "RFC 9110 4.2.4: user information is refused",
	errAsterisk:      "RFC 9112 3.2.4: only OPTIONS has the asterisk-form",
	errConnect:       "no proxy",
	errExpect:        "RFC 9110 10.1.1: net/http leaves this to its server",
	errVersion:       "net/http leaves versions to its server",
	errTab:           "RFC 9112 3: net/http lets a tab into the target",
	errMethodTooLong: "a bound of ours",
	errTooManyFields: "a bound of ours",
	errHeadTooLarge:  "a bound of ours",
	errTargetTooLong: "a bound of ours",
}

func FuzzRequest(f *testing.F) {
	for _, tt := range goodHeads {
		f.Add([]byte(tt.head), uint16(7))
	}
	for _, tt := range badHeads {
		f.Add([]byte(tt.head), uint16(3))
		f.Add([]byte(tt.head+"\r\n\r\n"), uint16(30))
	}
	f.Fuzz(func(t *testing.T, b []byte, split uint16) {
		var r Request
		n, err := r.Parse(b, 0, Limits{})
		whole := verdict(&r, n, err)
		if n, _, err := feed(&r, b, Limits{}); verdict(&r, n, err) != whole {
			t.Errorf("%q byte by byte\n got %s\nwhole %s", b, verdict(&r, n, err), whole)
		}
		if n, err := feedTwo(&r, b, int(split)%(len(b)+1), Limits{}); verdict(&r, n, err) != whole {
			t.Errorf("%q split at %d\n got %s\nwhole %s", b, int(split)%(len(b)+1), verdict(&r, n, err), whole)
		}
		n, err = r.Parse(b, 0, Limits{})
		compareRequest(t, b, &r, n, err)
	})
}

// compareRequest compares what Parse made of b with what net/http makes of it.
func compareRequest(t *testing.T, b []byte, r *Request, n int, err error) {
	start, _ := skipEmptyLines(b) // RFC 9112 2.2; net/http refuses them
	std, stdErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[start:])))
	switch {
	case err != nil && stdErr != nil:
		return
	case err != nil:
		if stricter[err] == "" {
			t.Errorf("%q: %v, but net/http accepts it", b, err)
		}
		return
	case stdErr != nil:
		if !laxOnPurpose(r) {
			t.Errorf("%q accepted, but net/http says %v", b[:n], stdErr)
		}
		return
	}
	if string(r.Method) != std.Method || string(r.Target) != std.RequestURI || r.Minor != min(std.ProtoMinor, 1) {
		t.Errorf("%q: request line %q %q %d, net/http has %q %q %d", b, r.Method, r.Target, r.Minor, std.Method, std.RequestURI, std.ProtoMinor)
	}
	path, _ := url.PathUnescape(string(r.Path))
	if stdPath := std.URL.Path; path != stdPath && (path != "/" || stdPath != "") || string(r.Query) != std.URL.RawQuery {
		t.Errorf("%q: path %q, query %q, net/http has %q and %q", b, path, r.Query, stdPath, std.URL.RawQuery)
	}
	if string(r.Host) != std.Host {
		t.Errorf("%q: host %q, net/http has %q", b, r.Host, std.Host)
	}
	chunked := slices.Contains(std.TransferEncoding, "chunked")
	if r.Chunked != chunked || !r.Chunked && max(r.ContentLength, 0) != std.ContentLength {
		t.Errorf("%q: chunked %t, length %d, net/http has %t and %d", b, r.Chunked, r.ContentLength, chunked, std.ContentLength)
	}
	if r.KeepAlive == std.Close {
		t.Errorf("%q: keep-alive %t, net/http has close %t", b, r.KeepAlive, std.Close)
	}
	compareFields(t, b, &r.Head, std.Header)
}

func compareFields(t *testing.T, b []byte, h *Head, std http.Header) {
	for _, f := range h.Fields {
		switch name := http.CanonicalHeaderKey(string(f.Name)); name {
		case "Host", "Transfer-Encoding", "Trailer", "Connection": // net/http takes these out
		default:
			if !slices.Contains(std.Values(name), string(f.Value)) {
				t.Errorf("%q: field %s is %q, net/http has %q", b, f.Name, f.Value, std.Values(name))
			}
		}
	}
}

// laxOnPurpose reports whether r has what net/http refuses for no reason of safety.
func laxOnPurpose(r *Request) bool {
	// Path and authority are not decoded here, so a bad escape in them is the router's business.
	if _, err := url.ParseRequestURI(string(r.Target)); err != nil {
		return bytes.IndexByte(r.Target, '%') >= 0 || !bytes.HasPrefix(r.Target, slash)
	}
	// Trailers are skipped here, so it does not matter which were announced.
	_, announced := r.Field("Trailer")
	return announced && r.Chunked
}

func FuzzResponse(f *testing.F) {
	for _, tt := range goodResponses {
		f.Add([]byte(tt.head), uint16(7))
	}
	for _, tt := range badResponses {
		f.Add([]byte(tt.head+"\r\n\r\n"), uint16(30))
	}
	f.Fuzz(func(t *testing.T, b []byte, split uint16) {
		var r Response
		n, err := r.Parse(b, 0, Limits{})
		whole := verdict(&r, n, err)
		if n, _, err := feed(&r, b, Limits{}); verdict(&r, n, err) != whole {
			t.Errorf("%q byte by byte\n got %s\nwhole %s", b, verdict(&r, n, err), whole)
		}
		if n, err := feedTwo(&r, b, int(split)%(len(b)+1), Limits{}); verdict(&r, n, err) != whole {
			t.Errorf("%q split at %d\n got %s\nwhole %s", b, int(split)%(len(b)+1), verdict(&r, n, err), whole)
		}
		if n, err = r.Parse(b, 0, Limits{}); err != nil {
			return // what a client refuses endangers nobody
		}
		std, stdErr := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
		if stdErr != nil {
			if _, announced := r.Field("Trailer"); !announced {
				t.Errorf("%q accepted, but net/http says %v", b[:n], stdErr)
			}
			return
		}
		if r.Status != std.StatusCode || r.Minor != min(std.ProtoMinor, 1) {
			t.Errorf("%q: status %d, minor %d, net/http has %d and %d", b, r.Status, r.Minor, std.StatusCode, std.ProtoMinor)
		}
		if chunked := slices.Contains(std.TransferEncoding, "chunked"); !r.NoBody() && r.Chunked != chunked {
			t.Errorf("%q: chunked %t, net/http has %t", b, r.Chunked, chunked)
		}
		if !r.NoBody() && r.ContentLength != std.ContentLength {
			t.Errorf("%q: length %d, net/http has %d", b, r.ContentLength, std.ContentLength)
		}
		compareFields(t, b, &r.Head, std.Header)
	})
}

var spaceBeforeExtension = regexp.MustCompile(`[ \t];`)

func FuzzChunkReader(f *testing.F) {
	for _, tt := range goodBodies {
		f.Add([]byte(tt.body), uint16(2))
	}
	for _, tt := range badBodies {
		f.Add([]byte(tt.body), uint16(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, size uint16) {
		data, n, err := readChunks(b, len(b)+1)
		for _, piece := range []int{1, int(size) + 1} {
			if d, m, e := readChunks(b, piece); string(d) != string(data) || m != n || e != err {
				t.Errorf("%q in pieces of %d = %q, %d, %v, whole %q, %d, %v", b, piece, d, m, e, data, n, err)
			}
		}
		std, stdErr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b)))
		switch {
		case spaceBeforeExtension.Match(b): // which net/http does not take
		case err == io.EOF && (stdErr != nil || string(std) != string(data)):
			t.Errorf("%q is %q, net/http reads %q, %v", b, data, std, stdErr)
		case err == ErrShort && stdErr != nil && !errors.Is(stdErr, io.ErrUnexpectedEOF) && !errors.Is(stdErr, io.EOF):
			t.Errorf("%q is short, but net/http says %v", b, stdErr)
		case !bytes.HasPrefix(std, data) && !bytes.HasPrefix(data, std):
			t.Errorf("%q is %q, net/http reads %q", b, data, std)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"channel=a&channel=b", "a=%20+b&&c", "a=%", "%zz=1", "=", "&=&", "a=b=c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, wantErr := url.QueryUnescape(s)
		got, err := AppendUnescaped([]byte("x"), []byte(s))
		if (err != nil) != (wantErr != nil) || err == nil && string(got) != "x"+want || err != nil && string(got) != "x" {
			t.Errorf("AppendUnescaped(x, %q) = %q, %v, net/url has %q, %v", s, got, err, want, wantErr)
		}
		var at EscapeError
		if errors.As(err, &at) && s[at] != '%' {
			t.Errorf("AppendUnescaped(%q) finds a bad escape at %d, where %q stands", s, at, s[at])
		}
		if strings.Contains(s, ";") || strings.Trim(s, "&") == "" {
			return // net/url refuses a semicolon, which was once a separator; here it is a byte like any other
		}
		values, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		parsed := url.Values{}
		for q := []byte(s); len(q) > 0; {
			var key, value []byte
			key, value, q = NextParam(q)
			key, _ = AppendUnescaped(nil, key)
			value, _ = AppendUnescaped(nil, value)
			parsed.Add(string(key), string(value))
		}
		if parsed.Encode() != values.Encode() {
			t.Errorf("NextParam over %q gives %v, net/url has %v", s, parsed, values)
		}
	})
}
