package pushpinconf

import "slices"

// class says what becomes of a setting.
type class uint8

const (
	mapped   class = iota // becomes an option
	variable              // is used in other values
	tuning                // has no meaning here
	unserved              // asks for what is not served; the server does well without
	listener              // opens or secures a listener that is not served: an error
	zeromq                // a ZeroMQ socket for other programs, which is not opened
	internal              // a ZeroMQ socket between Pushpin's processes; over TCP it may be for others
)

// key is a setting that Pushpin knows.
type key struct {
	name     string
	class    class
	packaged string // a value that asks for nothing, as an empty one does
	advice   string // what to do instead; zeromq: what becomes of those who use the socket
}

const (
	behind = "put a TLS server in front of http_port, and remove the line"

	lost       = "messages published to it are lost, though publishers may see success"
	noFigures  = "programs that read figures from it get none"
	noAnswer   = "commands sent to it get no answer"
	notReached = "the program at its other end is not reached"
)

// sections are the sections of the file, and their settings.
var sections = []struct {
	name string
	keys []key
}{
	{"global", slices.Concat([]key{
		{name: "include", class: variable},
		{name: "rundir", class: variable},
		{name: "libdir", class: variable},
		{name: "ipc_prefix", class: variable},
		{name: "port_offset", class: variable},
	}, tuningKeys("stats_connection_ttl", "stats_connection_send"))},
	{"runner", slices.Concat([]key{
		{name: "http_port", class: mapped},
		{name: "https_ports", class: listener, advice: behind},
		{name: "local_ports", class: listener, advice: "have the server in front connect to http_port, and remove the line"},
		{name: "log_level", class: mapped},
		{name: "client_buffer_size", class: mapped},
		{name: "client_maxconn", class: mapped},
		{name: "allow_compression", class: unserved, packaged: "false", advice: "messages go out uncompressed"},
		{name: "services", class: mapped},
	}, tuningKeys("logdir", "condure_bin", "connmgr_bin", "proxy_bin", "handler_bin", "mongrel2_bin", "m2sh_bin", "zurl_bin"))},
	{"proxy", slices.Concat([]key{
		{name: "routesfile", class: mapped},
		{name: "sig_iss", class: mapped},
		{name: "sig_key", class: mapped},
		{name: "upstream_key", class: mapped},
		{name: "debug", class: mapped},
		{name: "auto_cross_origin", class: mapped},
		{name: "accept_x_forwarded_protocol", class: mapped},
		{name: "set_x_forwarded_protocol", class: mapped},
		{name: "x_forwarded_for", class: mapped},
		{name: "x_forwarded_for_trusted", class: mapped},
		{name: "orig_headers_need_mark", class: unserved, advice: "orig_headers is not served"},
		{name: "accept_pushpin_route", class: mapped},
		{name: "cdn_loop", class: mapped},
		{name: "max_open_requests", class: mapped},
		{name: "log_from", class: unserved, packaged: "false", advice: "requests are not logged one by one"},
		{name: "log_user_agent", class: unserved, packaged: "false", advice: "requests are not logged one by one"},
		{name: "prometheus_port", class: listener, advice: "set --metrics-listen, and remove the line"},
	}, tuningKeys("sockjs_url", "updates_check", "organization_name", "workers", "prometheus_prefix",
		"stats_report_interval", "stats_connections_max_ttl", "ipc_file_mode"),
		internalKeys("stats_spec", "command_spec",
			"condure_in_specs", "condure_in_stream_specs", "condure_out_specs",
			"condure_client_in_specs", "condure_client_out_specs", "condure_client_out_stream_specs",
			"connmgr_in_specs", "connmgr_in_stream_specs", "connmgr_out_specs",
			"connmgr_client_in_specs", "connmgr_client_out_specs", "connmgr_client_out_stream_specs",
			"m2a_in_specs", "m2a_in_stream_specs", "m2a_out_specs",
			"zurl_out_specs", "zurl_out_stream_specs", "zurl_in_specs",
			"handler_inspect_spec", "handler_accept_spec", "handler_retry_in_spec",
			"handler_ws_control_in_spec", "handler_ws_control_out_spec",
			"handler_ws_control_init_specs", "handler_ws_control_stream_specs",
			"intreq_in_specs", "intreq_in_stream_specs", "intreq_out_specs"))},
	{"handler", slices.Concat([]key{
		{name: "push_in_spec", class: zeromq, advice: lost},
		{name: "push_in_sub_specs", class: zeromq, advice: lost},
		{name: "push_in_sub_spec", class: zeromq, advice: lost},
		{name: "push_in_sub_connect", class: zeromq, packaged: "false",
			advice: "pushd connects to no publisher, and what they publish is lost"},
		{name: "push_in_http_addr", class: mapped},
		{name: "push_in_http_port", class: mapped},
		{name: "push_in_http_max_body_size", class: mapped},
		{name: "stats_spec", class: zeromq, advice: noFigures},
		{name: "command_spec", class: zeromq, advice: noAnswer},
		{name: "connection_subscription_max", class: mapped},
		{name: "id_cache_ttl", class: mapped},
		{name: "prometheus_port", class: listener, advice: "set --metrics-listen, and remove the line"},
		{name: "state_spec", class: unserved, advice: "sessions are not served"},
	}, tuningKeys("ipc_file_mode", "push_in_http_max_headers_size", "message_rate", "message_hwm", "message_block_size", "message_wait",
		"update_on_first_subscription", "subscription_linger", "stats_subscription_ttl", "stats_report_interval",
		"stats_format", "prometheus_prefix", "share_all"),
		internalKeys("proxy_inspect_spec", "proxy_inspect_specs", "proxy_accept_spec", "proxy_accept_specs",
			"proxy_retry_out_spec", "proxy_retry_out_specs",
			"proxy_ws_control_in_spec", "proxy_ws_control_out_spec",
			"proxy_ws_control_init_specs", "proxy_ws_control_stream_specs",
			"proxy_stats_spec", "proxy_stats_specs", "proxy_command_spec",
			"condure_in_stream_specs", "condure_out_specs", "m2a_in_stream_specs", "m2a_out_specs",
			"proxy_intreq_out_specs", "proxy_intreq_out_stream_specs", "proxy_intreq_in_specs"))},
}

func tuningKeys(names ...string) []key { return keysOf(key{class: tuning}, names) }

func internalKeys(names ...string) []key {
	return keysOf(key{class: internal, advice: notReached}, names)
}

// keysOf returns keys like k, called names.
func keysOf(k key, names []string) []key {
	keys := make([]key, len(names))
	for i, name := range names {
		keys[i] = k
		keys[i].name = name
	}
	return keys
}

// lookup returns the setting called name of a section; nil, and what is wrong with it, when there is none.
func lookup(section, name string, suggest Suggester) (*key, string) {
	var names, all, elsewhere []string
	known := false
	for i := range sections {
		s := &sections[i]
		all = append(all, s.name)
		for j := range s.keys {
			switch k := &s.keys[j]; {
			case s.name == section && k.name == name:
				return k, ""
			case s.name == section:
				names = append(names, k.name)
			case k.name == name:
				elsewhere = append(elsewhere, s.name)
			}
		}
		known = known || s.name == section
	}
	switch {
	case !known:
		return nil, "unknown section [" + section + "]" + meant(suggest, section, all)
	case elsewhere != nil:
		return nil, name + " belongs in section [" + elsewhere[0] + "]"
	}
	return nil, "unknown setting " + name + meant(suggest, name, names)
}

func meant(suggest Suggester, word string, candidates []string) string {
	if suggest == nil {
		return ""
	}
	if s := suggest(word, candidates); s != "" {
		return " (did you mean " + s + "?)"
	}
	return ""
}
