package main

import (
	"strings"
	"testing"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/internal/golden"
)

func TestHelp(t *testing.T) {
	code, stdout, stderr := pushpub(t, terminal, "--help")
	golden.Check(t, "help.txt", stdout)
	expect(t, "pushpub --help", code, app.OK, stdout, stdout, stderr, "")
}

// Usage errors are one line on standard error, and nothing is sent: there is no socket at all.
func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		args string // separated by |
		want string
	}{
		{"", "no channel given"},
		{"test", "no content given"},
		{"-c|test", "no content given"},
		{"test|hello|world", `surplus argument "world"; CONTENT with spaces needs quotes`},
		{"-c|test|hello|world", `surplus argument "world"; CONTENT with spaces needs quotes`},
		{"-l|test|hello", `surplus argument "hello": lines come from standard input or @FILE`},
		{"--jsonl|test", `surplus argument "test": lines come from standard input or @FILE`},
		{"--jsonl|-|x", `surplus argument "x"; CONTENT with spaces needs quotes`},
		{"|hello", "channel name is empty"},
		{"a\nb|hello", `channel name "a\nb" has a control character at byte 1`},
		{"a\xff|hello", `channel name "a\xff" is not valid UTF-8 at byte 1`},
		{"-c|a|-c|a|hello", `channel "a" is given twice`},
		{"test|@", "@ needs the name of a file (--literal publishes the @ itself)"},
		{"test|hello|--code|600", "--code: 600 is not between 200 and 599"},
		{"test|hello|--code|101", "--code: 101 is not between 200 and 599"},
		{"test|hello|--code|0", "--code: 0 is not between 200 and 599"},
		{"test|hello|--code|-1", "--code: -1 is not between 200 and 599"},
		{"test|hello|--code|x", `--code: "x" is not a whole number`},
		{"test|hello|--count|0", "--count: 0 is less than 1"},
		{"test|hello|--every|0s", "--every: 0s is not a time to wait"},
		{"test|hello|--timeout|-1s", "--timeout: -1s is not a time to wait"},
		{"test|hello|--retry|0", "--retry: 0 is not a number of milliseconds"},
		{"test|hello|-H|a", `--header: "a" is not 'NAME: VALUE'`},
		{"test|hello|-H|a b: c", `--header: 'http-response' contains 'headers' with invalid value: "a b" is no header name`},
		{"test|hello|-H|a: b\nc: d", `--header: 'http-response' contains 'headers' with invalid value: a: "b\nc: d" contains LF`},
		{"test|hello|-M|a", `--meta: "a" is not KEY=VALUE`},
		{"test|hello|--format|websocket", `--format: "websocket" is not a format: want response, stream, ws, sse`},
		{"test|hello|--format|stream,", `--format: "" is not a format: want response, stream, ws, sse`},
		{"test|--hint|--format|sse", `--format: "sse" has formats that --hint, --close or --patch do not have`},
		{"test|hello|--event|x|--format|stream", "--event, --sse-id and --retry need the format sse, which --format leaves out"},
		{"test|hello|--code|200|--format|ws", "--code and --header need the format response, which --format leaves out"},
		{"test|--hint|--close", "--close cannot be used with --hint"},
		{"test|--close|-H|a: b", "--header cannot be used with --close"},
		{"test|[]|--patch|--event|x", "--event cannot be used with --patch"},
		{"--jsonl|-c|test", "--channel cannot be used with --jsonl"},
		{"--jsonl|--id|1", "--id cannot be used with --jsonl"},
		{"-l|test|--every|1s", "--every cannot be used with --lines"},
		{"-l|test|--literal", "--literal cannot be used with --lines"},
		{"test|hello|--socket|", "--socket: the path is empty"},
		{"test|hello|--socket|a[", `--socket: "a[": syntax error in pattern`},
		{"test|a\\qb|-e", `bad escape "\\q" at byte 2: unknown`},
		{"test|{}|--patch", "'http-response' contains 'body-patch' with invalid value: it is no JSON array"},
		{"test|hello|--id|a\nb", `publish item object contains 'id' with invalid value: "a\nb" contains LF`},
		{"test|hello|--evnt|x", "unknown option --evnt (did you mean --event?)"},
		{"test|hello|--event", "option --event needs a value"},
	} {
		var args []string
		if tt.args != "" {
			args = strings.Split(tt.args, "|")
		}
		code, stdout, stderr := pushpub(t, terminal, args...)
		expect(t, "pushpub "+tt.args, code, app.Usage, stdout, "", stderr, "pushpub: "+tt.want+"\n")
	}
}
