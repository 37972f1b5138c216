package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/publish"
)

// TestItems runs the program and looks at the items that arrive, in their JSON form.
func TestItems(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	binary := filepath.Join(dir, "binary")
	for name, content := range map[string]string{file: "from a file\n", binary: "\xff\x00"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const bare = `{"channel":"test","formats":{"http-response":{"body":"hello\n"},"http-stream":{"content":"hello\n"},"ws-message":{"content":"hello"}}}`
	for name, tt := range map[string]struct {
		args  string // separated by |
		input string // standard input; "" for a terminal
		want  []string
	}{
		"bare":                    {args: "test|hello", want: []string{bare}},
		"channels by option":      {args: "-c|a|hello|-c|b,c", want: []string{strings.Replace(bare, "test", "a", 1), strings.Replace(bare, "test", "b,c", 1)}},
		"options after arguments": {args: "test|hello|--no-eol|--id|7", want: []string{`{"channel":"test","id":"7","formats":{"http-response":{"body":"hello"},"http-stream":{"content":"hello"},"ws-message":{"content":"hello"}}}`}},
		"behind --":               {args: "--|test|--hello", want: []string{strings.ReplaceAll(bare, "hello", "--hello")}},
		"an empty argument":       {args: "test||--format|stream", want: []string{`{"channel":"test","formats":{"http-stream":{"content":"\n"}}}`}},
		"everything": {
			args: "test|hello|--id|2|--prev-id|1|--sender|bob|-M|a=b=c|--code|202|-H|X-A: b, c|-H|X-A:d |--no-seq|--event|tick|--sse-id|9|--retry|3000",
			want: []string{`{"channel":"test","id":"2","prev-id":"1","formats":{"http-response":{"code":202,"headers":[["X-A","b, c"],["X-A","d"]],"body":"hello\n"},` +
				`"http-stream":{"content":"hello\n"},"ws-message":{"content":"hello"},"sse":{"event":"tick","id":"9","data":"hello","retry":3000}},` +
				`"meta":{"a":"b=c","sender":"bob"},"no-seq":true}`}},
		"event alone":         {args: "test|hello|--event|tick|--format|sse", want: []string{`{"channel":"test","formats":{"sse":{"event":"tick","data":"hello"}}}`}},
		"sse by format":       {args: "test|hello|--format|sse,ws", want: []string{`{"channel":"test","formats":{"ws-message":{"content":"hello"},"sse":{"data":"hello"}}}`}},
		"GRIP names":          {args: "test|hello|--format|http-stream,ws-message", want: []string{`{"channel":"test","formats":{"http-stream":{"content":"hello\n"},"ws-message":{"content":"hello"}}}`}},
		"hint":                {args: "test|ignored|--hint", want: []string{`{"channel":"test","formats":{"http-response":{"action":"hint"},"http-stream":{"action":"hint"},"ws-message":{"action":"hint"}}}`}},
		"close":               {args: "test|--close", want: []string{`{"channel":"test","formats":{"http-stream":{"action":"close"},"ws-message":{"action":"close"}}}`}},
		"patch":               {args: "test|--patch|[ {\"op\":\"remove\",\"path\":\"/a\"} ]", want: []string{`{"channel":"test","formats":{"http-response":{"body-patch":[{"op":"remove","path":"/a"}]}}}`}},
		"a file as it is":     {args: "test|@" + file + "|--format|stream", want: []string{`{"channel":"test","formats":{"http-stream":{"content":"from a file\n"}}}`}},
		"a binary file":       {args: "test|@" + binary, want: []string{`{"channel":"test","formats":{"http-response":{"body-bin":"/wA="},"http-stream":{"content-bin":"/wA="},"ws-message":{"type":"binary","content-bin":"/wA="}}}`}},
		"a binary event":      {args: "test|@" + binary + "|--format|sse", want: []string{`{"channel":"test","formats":{"sse":{"data":"\ufffd\u0000"}}}`}},
		"marked items":        {args: "--jsonl", input: "\ufeff\n\ufeff" + `{"channel":"a","http-stream":{"content":"1"}}`, want: []string{`{"channel":"a","formats":{"http-stream":{"content":"1"}}}`}},
		"a marked patch":      {args: "test|--patch|\ufeff[]", want: []string{`{"channel":"test","formats":{"http-response":{"body-patch":[]}}}`}},
		"literal @":           {args: "test|@x|--literal|--format|stream", want: []string{`{"channel":"test","formats":{"http-stream":{"content":"@x\n"}}}`}},
		"literal -":           {args: "test|-|--literal|--format|stream", want: []string{`{"channel":"test","formats":{"http-stream":{"content":"-\n"}}}`}},
		"input":               {args: "test|--format|stream", input: "a\r\nb", want: []string{`{"channel":"test","formats":{"http-stream":{"content":"a\r\nb"}}}`}},
		"input by -":          {args: "test|-|--format|stream,ws", input: "a\n", want: []string{`{"channel":"test","formats":{"http-stream":{"content":"a\n"},"ws-message":{"content":"a\n"}}}`}},
		"escapes":             {args: `test|a\tb\x21\n|-e|--format|ws`, want: []string{`{"channel":"test","formats":{"ws-message":{"content":"a\tb!\n"}}}`}},
		"no escapes":          {args: `test|a\tb|--format|ws`, want: []string{`{"channel":"test","formats":{"ws-message":{"content":"a\\tb"}}}`}},
		"template":            {args: "test|n={{count}}|--template|--id|{{count}}|--count|2|--format|ws", want: []string{`{"channel":"test","id":"1","formats":{"ws-message":{"content":"n=1"}}}`, `{"channel":"test","id":"2","formats":{"ws-message":{"content":"n=2"}}}`}},
		"no template":         {args: "test|{{count}}|--format|ws", want: []string{`{"channel":"test","formats":{"ws-message":{"content":"{{count}}"}}}`}},
		"lines":               {args: "-l|test|--format|stream,ws", input: "a\r\n\nb", want: []string{`{"channel":"test","formats":{"http-stream":{"content":"a\r\n"},"ws-message":{"content":"a\r"}}}`, `{"channel":"test","formats":{"http-stream":{"content":"\n"},"ws-message":{"content":""}}}`, `{"channel":"test","formats":{"http-stream":{"content":"b\n"},"ws-message":{"content":"b"}}}`}},
		"lines of a file":     {args: "-l|-c|test|@" + file + "|--format|ws", want: []string{`{"channel":"test","formats":{"ws-message":{"content":"from a file"}}}`}},
		"lines, template":     {args: "-l|test|--template|--id|{{count}}|--format|ws|-e", input: "a\\t{{count}}\nb{{count}}\n", want: []string{`{"channel":"test","id":"1","formats":{"ws-message":{"content":"a\t1"}}}`, `{"channel":"test","id":"2","formats":{"ws-message":{"content":"b2"}}}`}},
		"items":               {args: "--jsonl", input: `{"channel":"a","http-stream":{"content":"1"}}` + "\n\n" + `{"channel":"b","formats":{"sse":{"data":"2","retry":5}}}`, want: []string{`{"channel":"a","formats":{"http-stream":{"content":"1"}}}`, `{"channel":"b","formats":{"sse":{"data":"2","retry":5}}}`}},
		"allowed to be empty": {args: "test|-|--allow-empty|--format|stream", input: "\x00", want: []string{`{"channel":"test","formats":{"http-stream":{"content":""}}}`}},
	} {
		t.Run(name, func(t *testing.T) {
			f := startPushd(t, nil)
			in := terminal
			switch tt.input {
			case "":
			case "\x00":
				in = strings.NewReader("")
			default:
				in = strings.NewReader(tt.input)
			}
			args := append(strings.Split(tt.args, "|"), "-q")
			if args[0] == "--" {
				args = append([]string{"-q"}, args[:len(args)-1]...)
			}
			code, stdout, stderr := pushpub(t, in, append([]string{"--socket", f.path}, args...)...)
			expect(t, tt.args, code, app.OK, stdout, "", stderr, "")
			var got []string
			for _, it := range f.got() {
				got = append(got, string(publish.AppendJSON(nil, &it)))
			}
			if g, w := strings.Join(got, "\n"), strings.Join(tt.want, "\n"); g != w {
				t.Errorf("pushpub %s publishes\n%s\nwant\n%s", tt.args, g, w)
			}
		})
	}
}
