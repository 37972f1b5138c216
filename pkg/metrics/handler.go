package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"holdfast/pkg/stats"
)

// maxScrapes is how many scrapes are answered at the same time; more get 503.
const maxScrapes = 4

// HandlerOptions is what a handler needs. All but Log must be set.
type HandlerOptions struct {
	Log      *slog.Logger // nil means silence
	Snapshot func() stats.Snapshot
	Started  time.Time // when pushd started
}

// NewHandler returns what answers a scrape, in Prometheus's text format: pushd's statistics, and those of its process and of Go.
// Each takes one snapshot.
func NewHandler(o HandlerOptions) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(o.Snapshot, o.Started), collectors.NewGoCollector())
	opts := promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		OfferedCompressions: []promhttp.Compression{promhttp.Identity, promhttp.Gzip},
	}
	if o.Log != nil {
		opts.ErrorLog = scrapeLog{o.Log}
	}
	return promhttp.HandlerFor(registry, opts)
}

// scrapeLog logs what goes wrong with a scrape. Mostly the scraper has left, which is not worth a warning.
type scrapeLog struct{ log *slog.Logger }

// Println logs v.
func (l scrapeLog) Println(v ...any) {
	text := strings.ReplaceAll(strings.TrimSpace(fmt.Sprintln(v...)), "\n", "; ")
	l.log.LogAttrs(context.Background(), slog.LevelDebug, "scrape not answered in full", slog.String("err", text))
}
