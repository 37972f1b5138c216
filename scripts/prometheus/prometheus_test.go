// Package prometheus holds no code, only the test of pushd's metrics endpoint with Prometheus itself, and of every query of
// docs/grafana-dashboard.json and docs/operations.md.
package prometheus

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	dashboard = "../../docs/grafana-dashboard.json"
	manual    = "../../docs/operations.md"
	interval  = 500 * time.Millisecond // between two scrapes
	window    = "5s"                   // what Grafana puts for $__rate_interval
	patience  = 30 * time.Second
)

// look skips the test where a program of Debian's package prometheus is missing.
func look(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("Prometheus is not installed (Debian: prometheus), the metrics are not tried with it: %v", err)
	}
}

func TestPromtoolHasNoObjection(t *testing.T) {
	look(t, "promtool")
	d := startPushd(t)
	d.hold(t, 3)
	d.publish(t)
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(d.scrape(t))
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// Every query of the dashboard has an answer once there are clients and messages, and none of them is no number.
func TestDashboardHasData(t *testing.T) {
	look(t, "prometheus")
	d := startPushd(t)
	api := startPrometheus(t, d.metrics)
	left := readQueries(t)
	for end := time.Now().Add(patience); len(left) > 0; time.Sleep(interval) {
		d.hold(t, 2)
		d.publish(t)
		if time.Now().After(end) {
			break
		}
		for title, expr := range left {
			if ok := api.query(t, title, expr, d.metrics) > 0; ok {
				delete(left, title)
			}
		}
		d.release()
	}
	for title, expr := range left {
		t.Errorf("%s has no data after %v: %s", title, patience, expr)
	}
}

// What happens seldom has no data, but must be a query.
func TestDashboardAnnotationsParse(t *testing.T) {
	look(t, "prometheus")
	d := startPushd(t)
	api := startPrometheus(t, d.metrics)
	var board struct {
		Annotations struct{ List []struct{ Expr string } }
	}
	readDashboard(t, &board)
	if len(board.Annotations.List) == 0 {
		t.Fatal("the dashboard has no annotations")
	}
	for _, a := range board.Annotations.List {
		api.query(t, "annotation", a.Expr, d.metrics)
	}
}

// The alarms of the manual are seldom on, but must be queries.
func TestAlarmsParse(t *testing.T) {
	look(t, "prometheus")
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nWorth an alarm:\n\n")
	block, _, _ := strings.Cut(rest, "\n\n")
	alarms := strings.Split(block, "\n")
	if len(alarms) < 3 {
		t.Fatalf("%d alarms in %s", len(alarms), manual)
	}
	d := startPushd(t)
	api := startPrometheus(t, d.metrics)
	for _, expr := range alarms {
		api.query(t, "alarm", strings.TrimSpace(expr), d.metrics)
		measure := strings.FieldsFunc(expr, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz_", r) })
		known := false
		for _, word := range measure {
			known = known || (strings.HasPrefix(word, "pushd_") || strings.HasPrefix(word, "process_")) && d.shows(t, word)
		}
		if !known {
			t.Errorf("pushd shows nothing of %s", expr)
		}
	}
}

func readDashboard(t *testing.T, v any) {
	t.Helper()
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", dashboard, err)
	}
}

// readQueries returns the queries of all panels by panel and legend.
func readQueries(t *testing.T) map[string]string {
	t.Helper()
	var board struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr, LegendFormat string }
		}
	}
	readDashboard(t, &board)
	queries := make(map[string]string)
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q has no query", p.Title)
		}
		for _, q := range p.Targets {
			name := p.Title + ": " + q.LegendFormat
			if queries[name] != "" || q.Expr == "" {
				t.Errorf("%q is there twice, or empty", name)
			}
			queries[name] = q.Expr
		}
	}
	if len(queries) < 20 {
		t.Fatalf("the dashboard has %d queries", len(queries))
	}
	return queries
}

// server is a running Prometheus.
type server struct{ base string }

// startPrometheus starts one that scrapes target.
func startPrometheus(t *testing.T, target string) *server {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: %s}\nscrape_configs:\n- job_name: pushd\n  static_configs: [{targets: [%q]}]\n",
		interval, target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := freeAddr(t)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	cmd.Stdout, cmd.Stderr = log, log
	run(t, cmd)
	s := &server{base: "http://" + addr}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		res, err := http.Get(s.base + "/-/ready")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return s
			}
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("Prometheus is not ready (%v):\n%s", err, text)
		}
	}
}

// query asks what Grafana would ask, and returns how many series have a number. A query that does not parse, and a series without
// the label that its legend shows, fail the test.
func (s *server) query(t *testing.T, title, expr, instance string) int {
	t.Helper()
	expr = strings.NewReplacer("$__rate_interval", window, "$instance", strings.ReplaceAll(instance, ".", `\\.`)).Replace(expr)
	res, err := http.Get(s.base + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if answer.Status != "success" {
		t.Fatalf("%s: %s: %s", title, expr, answer.Error)
	}
	numbers := 0
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) {
			numbers++
		}
		for label := range r.Metric {
			if label == "channel" || label == "address" {
				t.Errorf("%s has the label %s", title, label)
			}
		}
		for _, part := range strings.Split(title, "{{")[1:] {
			if label, _, _ := strings.Cut(part, "}}"); r.Metric[label] == "" {
				t.Errorf("%s: no label %s in %v", title, label, r.Metric)
			}
		}
	}
	return numbers
}

// freeAddr returns an address on which nobody listens, for somebody who is about to.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
