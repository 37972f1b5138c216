package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/grip"
	"holdfast/pkg/hub"
	"holdfast/pkg/server"
)

const testSecret = "a-secret-for-tests-of-more-than-32-bytes"

// Every setting has a value here that differs from its default, as an option and as a TOML value.
var everySetting = []struct {
	name, option, toml string
	got                func(server.Options) any
	want               any
}{
	{"listen", "[::1]:81", `["[::1]:81"]`, func(o server.Options) any { return o.Listen[0] }, "[::1]:81"},
	{"socket", "/x/y.sock", `"/x/y.sock"`, func(o server.Options) any { return o.Socket }, "/x/y.sock"},
	{"socket-mode", "0600", `"0600"`, func(o server.Options) any { return o.SocketMode }, os.FileMode(0o600)},
	{"socket-group", "root", `"root"`, func(o server.Options) any { return o.SocketGroup }, "root"},
	{"publish-listen", "off", `"off"`, func(o server.Options) any { return o.PublishListen }, ""},
	{"loops", "7", `7`, func(o server.Options) any { return o.Loops }, 7},
	{"max-connections", "11", `11`, func(o server.Options) any { return o.MaxConnections }, 11},
	{"routes", "/x/routes", `"/x/routes"`, func(o server.Options) any { return o.Routes }, "/x/routes"},
	{"skip-unserved-routes", "true", `true`, func(o server.Options) any { return o.SkipUnserved }, true},
	{"skip-zeromq", "true", `true`, nil, nil}, // see TestZeroMQSocketsAreRefused
	{"backend-timeout", "7s", `"7s"`, func(o server.Options) any { return o.BackendTimeout }, 7 * time.Second},
	{"backend-concurrency", "70", `70`, func(o server.Options) any { return o.BackendConcurrency }, 70},
	{"backend-connect-timeout", "8s", `"8s"`, func(o server.Options) any { return o.Backends.ConnectTimeout }, 8 * time.Second},
	{"backend-connections", "90", `90`, func(o server.Options) any { return o.Backends.Connections }, 90},
	{"backend-open", "90", `90`, func(o server.Options) any { return o.Backends.Open }, 90},
	{"backend-idle", "9", `9`, func(o server.Options) any { return o.Backends.Idle }, 9},
	{"backend-waiting-memory", "1MiB", `"1MiB"`, func(o server.Options) any { return o.Backends.WaitingMemory }, int64(1 << 20)},
	{"max-backend-head", "32KiB", `"32KiB"`, func(o server.Options) any { return o.Backends.MaxHead }, 32 << 10},
	{"max-hold-body", "1MiB", `"1MiB"`, func(o server.Options) any { return o.Backends.MaxHoldBody }, 1 << 20},
	{"max-filters", "6", `6`, func(o server.Options) any { return o.Backends.MaxFilters }, 6},
	{"id-cache-ttl", "0s", `"0s"`, func(o server.Options) any { return o.IDCacheTTL }, time.Duration(0)},
	{"set-x-forwarded-protocol", "true", `"true"`, func(o server.Options) any { return o.Backends.Proto.Protocol }, true},
	{"accept-x-forwarded-protocol", "true", `true`, func(o server.Options) any { return o.Backends.Proto.Accept }, true},
	{"x-forwarded-for", "truncate:0,append", `"truncate:0,append"`, func(o server.Options) any { return o.Backends.For }, forwardedRule("truncate:0,append")},
	{"x-forwarded-for-trusted", "append", `"append"`, func(o server.Options) any { return o.Backends.ForTrusted }, forwardedRule("append")},
	{"cdn-loop", "push.example", `"push.example"`, func(o server.Options) any { return o.Backends.CDNLoop }, "push.example"},
	{"accept-pushpin-route", "true", `true`, func(o server.Options) any { return o.Backends.AcceptRoute }, true},
	{"auto-cross-origin", "true", `true`, func(o server.Options) any { return o.Backends.AutoCORS }, true},
	{"debug", "true", `true`, func(o server.Options) any { return o.Backends.Debug }, true},
	{"sig-key", testSecret, `"` + testSecret + `"`, func(o server.Options) any { return o.SigKey != nil }, true},
	{"sig-iss", "me", `"me"`, func(o server.Options) any { return o.SigIssuer }, "me"},
	{"upstream-key", testSecret, `"` + testSecret + `"`, func(o server.Options) any { return o.UpstreamKey != nil }, true},
	{"max-subscriptions", "21", `21`, func(o server.Options) any { return o.MaxSubscriptions }, 21},
	{"max-channels", "22", `22`, func(o server.Options) any { return o.MaxChannels }, 22},
	{"max-per-address", "23", `23`, func(o server.Options) any { return o.MaxPerAddress }, 23},
	{"accept-rate", "24", `24`, func(o server.Options) any { return o.AcceptRate }, 24},
	{"trusted-proxies", "10.0.0.0/8", `["10.0.0.0/8"]`, func(o server.Options) any { return o.TrustedProxies[0].String() }, "10.0.0.0/8"},
	{"anonymous", "true", `true`, nil, nil}, // see TestOthersThanThisMachine
	{"token-key", testSecret, `"` + testSecret + `"`, func(o server.Options) any { return o.TokenKey.Algorithm() }, "HS256"},
	{"token-audience", "push", `"push"`, func(o server.Options) any { return o.TokenKey.Audience }, "push"},
	{"token-cookie", "auth", `"auth"`, func(o server.Options) any { return o.TokenCookie }, "auth"},
	{"token-grace", "7s", `"7s"`, func(o server.Options) any { return o.TokenGrace }, 7 * time.Second},
	{"allow-origin", "https://a.example", `"https://a.example"`, func(o server.Options) any { return o.AllowOrigin.List()[0] }, "https://a.example"},
	{"publish-token-file", "testdata/publish-token", `"testdata/publish-token"`, func(o server.Options) any { return o.PublishToken }, "for-tests-and-nothing-else"},
	{"publish-host", "push.example", `["push.example"]`, func(o server.Options) any { return o.PublishHosts[0] }, "push.example"},
	{"history", "news-*=5:1h", `["news-*=5:1h"]`, func(o server.Options) any { return o.History[0] }, hub.HistoryRule{Pattern: "news-*", Items: 5, TTL: time.Hour}},
	{"history-ttl", "7s", `"7s"`, nil, nil},
	{"history-memory", "1MiB", `"1MiB"`, func(o server.Options) any { return o.HistoryMemory }, int64(1 << 20)},
	{"max-header", "16KiB", `"16KiB"`, func(o server.Options) any { return o.MaxHeader }, 16384},
	{"header-timeout", "3s", `"3s"`, func(o server.Options) any { return o.HeaderTimeout }, 3 * time.Second},
	{"idle-timeout", "4s", `"4s"`, func(o server.Options) any { return o.IdleTimeout }, 4 * time.Second},
	{"ws-ping", "5s", `"5s"`, func(o server.Options) any { return o.WSPing }, 5 * time.Second},
	{"stream-opening", "true", `true`, func(o server.Options) any { return o.StreamOpening }, true},
	{"ws-protocol", "chat", `["chat"]`, func(o server.Options) any { return o.WSProtocols[0] }, "chat"},
	{"stream-keep-alive", "5s", `"5s"`, func(o server.Options) any { return o.StreamKeepAlive }, 5 * time.Second},
	{"max-queued", "1MiB", `1048576`, func(o server.Options) any { return o.MaxQueued }, 1 << 20},
	{"queue-memory", "2GiB", `"2G"`, func(o server.Options) any { return o.QueueMemory }, int64(2 << 30)},
	{"hold-memory", "3GiB", `"3G"`, func(o server.Options) any { return o.HoldMemory }, int64(3 << 30)},
	{"overflow", "drop", `"drop"`, func(o server.Options) any { return o.Overflow }, server.OverflowDrop},
	{"max-message", "2MiB", `"2MiB"`, func(o server.Options) any { return o.MaxMessage }, 2 << 20},
	{"drain-timeout", "0s", `"0s"`, func(o server.Options) any { return o.DrainTimeout }, time.Duration(0)},
	{"metrics-listen", ":9101", `":9101"`, func(o server.Options) any { return o.MetricsListen }, ":9101"},
	{"statsd", "stats.example:8125", `"stats.example:8125"`, func(o server.Options) any { return o.Statsd }, "stats.example:8125"},
	{"statsd-interval", "1m", `"1m"`, func(o server.Options) any { return o.StatsdInterval }, time.Minute},
	{"statsd-prefix", "push.a", `"push.a"`, func(o server.Options) any { return o.StatsdPrefix }, "push.a"},
	{"reuse-port", "true", `true`, func(o server.Options) any { return o.ReusePort }, true},
	{"strict-host", "true", `true`, nil, nil}, // see TestStrictHost
	{"log-level", "debug", `"debug"`, func(o server.Options) any { return o.Log.Enabled(context.Background(), slog.LevelDebug) }, true},
	{"log-format", "json", `"json"`, func(o server.Options) any { _, ok := o.Log.Handler().(*slog.JSONHandler); return ok }, true},
}

func forwardedRule(s string) grip.ForwardedFor {
	rule, err := grip.ParseForwardedFor(s)
	if err != nil {
		panic(err)
	}
	return rule
}

func TestEverySettingByFlagEnvironmentAndFile(t *testing.T) {
	var names []string
	for _, s := range everySetting {
		names = append(names, s.name)
		variable := "PUSHD_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
		file := writeConfig(t, s.name+" = "+s.toml+"\n")
		ways := map[string]func(t *testing.T) []string{
			fromFlag:        func(*testing.T) []string { return []string{"--" + s.name + "=" + s.option} },
			fromEnvironment: func(t *testing.T) []string { t.Setenv(variable, s.option); return nil },
			fromFile:        func(*testing.T) []string { return []string{"--config", file} },
		}
		for kind, way := range ways {
			t.Run(s.name+"/"+kind, func(t *testing.T) {
				args := way(t)
				if s.name == "token-audience" { // alone it has no meaning
					args = append(args, "--token-key", testSecret)
				}
				if s.name == "strict-host" { // it asks for how many
					args = append(args, "--max-connections=11")
				}
				o, code, _, stderr := start(t, args...)
				if code != app.OK {
					t.Fatalf("exit %d: %s", code, stderr)
				}
				if s.got != nil {
					if got := s.got(o); got != s.want {
						t.Errorf("got %v, want %v", got, s.want)
					}
				}
				if got := checked(t, args...)[s.name].Kind; got != kind {
					t.Errorf("check says that it comes from %q, want %q", got, kind)
				}
			})
		}
	}
	for _, f := range settingFlags(server.NewOptions()) {
		if !slices.Contains(names, f.Names()[0]) {
			t.Errorf("setting %s is not tested", f.Names()[0])
		}
	}
}

// entry is a setting in the output of check --json.
type entry struct {
	Value any `json:"value"`
	source
}
