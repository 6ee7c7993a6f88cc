package build

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
)

// Limits on a section, beyond which it is refused.
const (
	maxInstances = 64
	maxGrace     = time.Hour
	minDrain     = time.Millisecond
	maxTimeout   = time.Hour
	minAnswer    = 10 * time.Millisecond
	maxJobs      = 50
	minMemory    = 1 << 20
	maxMemory    = 1 << 40
	minLogBytes  = 4 << 10
	maxLogBytes  = 1 << 30
	maxLogKeep   = 100
)

func sectionKeys() []string { return append(releaseKeys(), settingsKeys()...) }

// releaseKeys are those that no environment changes.
func releaseKeys() []string { return []string{"command", "workDir", "protocol"} }

// Defaults: how long an instance may take to begin its answer, and to end.
const (
	defaultAnswer = time.Minute
	defaultGrace  = 10 * time.Second
)

func settingsKeys() []string {
	return []string{"env", "listen", "preview", "instances", "memory", "health", "answer", "trustedProxies", "stopGrace", "drain", "verify", "logs", "metrics"}
}

// readSpec reads a merged section and fills in the defaults.
func readSpec(r *reader, fields map[string]any) process.Spec {
	o := r.object("", fields)
	o.only(sectionKeys())
	s := process.Spec{
		Command:   readCommand(o, true),
		Env:       readEnv(o.child("env")),
		WorkDir:   readWorkDir(o),
		Listen:    readListen(o),
		Instances: int(o.integer("instances", 1, 1, maxInstances)),
		Preview:   readPreview(o),
		Protocol:  readProtocol(o),
		Memory:    o.size("memory", 0, minMemory, maxMemory),
		Answer:    readAnswer(o),
		Proxies:   readProxies(o),
		StopGrace: o.duration("stopGrace", defaultGrace, 0, maxGrace),
		Drain:     o.duration("drain", 0, minDrain, maxGrace),
		Verify:    readVerify(o.child("verify")),
		Logs:      readLogs(o.child("logs")),
		Metrics:   readMetrics(o),
	}
	s.Health = readHealth(o.child("health"), s.Protocol)
	if len(s.Verify.Preview) > 0 && s.Preview == "" {
		r.problem("verify.preview", "there is no preview for these jobs to go through", "give the component an address for it: preview: 127.0.0.1:0; or make them jobs before")
	}
	return s
}

func readCommand(o *object, required bool) []string {
	command := o.strings("command")
	at := o.at("command")
	if len(command) == 0 {
		if required && !o.has("command") {
			o.r.problem(at, "a command is needed", "name the program and its arguments: command: [bin/api, --verbose]")
		} else if o.has("command") && !o.broken("command") {
			o.r.problem(at, "the command is empty", "name the program and its arguments: [bin/api, --verbose]")
		}
		return nil
	}
	if command[0] == "" {
		o.r.problem(at+"[0]", "the program's name is empty", "name a file of the release, such as bin/api")
	} else if !strings.HasPrefix(command[0], "/") && strings.Contains(command[0], "/") && !inside(command[0]) {
		o.r.problem(at+"[0]", fmt.Sprintf("%q leads out of the release's files", command[0]), "use a path below the component's files")
	}
	for i, word := range command {
		if strings.Contains(word, "${components.") {
			o.r.problem(fmt.Sprintf("%s[%d]", at, i), "placeholders are not filled in commands", "set an environment variable in env and read that")
		}
		if strings.ContainsRune(word, 0) {
			o.r.problem(fmt.Sprintf("%s[%d]", at, i), "there is a NUL byte in it", "take it out")
		}
	}
	return command
}

func readWorkDir(o *object) string {
	dir := o.str("workDir", "")
	if dir != "" && !inside(dir) {
		o.r.problem(o.at("workDir"), fmt.Sprintf("%q leads out of the release's files", dir), "use a relative path with slashes and without ..")
	}
	if clean := path.Clean(dir); clean != "." {
		return clean
	}
	return ""
}

// inside reports whether a slash-separated path stays below its root.
func inside(p string) bool {
	clean := path.Clean(p)
	return !path.IsAbs(p) && clean != ".." && !strings.HasPrefix(clean, "../") && !strings.ContainsAny(p, "\\\x00")
}

func readHealth(o *object, speaks route.Protocol) process.Health {
	o.only([]string{"path", "grpc", "interval", "timeout", "deadline"})
	h := process.Health{
		Path:     o.str("path", "/healthz"),
		GRPC:     o.boolean("grpc"),
		Interval: o.duration("interval", 500*time.Millisecond, 10*time.Millisecond, maxTimeout),
		Timeout:  o.duration("timeout", time.Second, 10*time.Millisecond, maxTimeout),
		Deadline: o.duration("deadline", 30*time.Second, 10*time.Millisecond, maxTimeout),
	}
	checkURLPath(o, h.Path)
	switch {
	case h.GRPC && speaks != route.H2C:
		o.r.problem(o.at("grpc"), "gRPC's health check needs a component that speaks HTTP/2", "write protocol: h2c, or take it out and give the path of a GET")
	case h.GRPC && o.has("path"):
		o.r.problem(o.at("path"), "gRPC's health check has no path", "take the path out, or grpc")
	case h.GRPC:
		h.Path = ""
	}
	if h.Deadline < h.Interval {
		o.r.problem(o.at("deadline"), fmt.Sprintf("the deadline (%s) is shorter than the interval (%s)", h.Deadline, h.Interval), "give an instance time for several requests")
	}
	return h
}

// unlimited says that an instance may take as long as it likes for its answer.
const unlimited = "none"

func readAnswer(o *object) time.Duration {
	if o.fields["answer"] == unlimited {
		return 0
	}
	before := len(o.r.problems)
	d := o.duration("answer", defaultAnswer, minAnswer, maxTimeout)
	for i := range o.r.problems[before:] {
		o.r.problems[before+i].Hint = "write how long an instance may take to begin its answer (60s, 5m), or none"
	}
	return d
}

func readMetrics(o *object) *process.Metrics {
	if !o.has("metrics") {
		return nil
	}
	m := o.child("metrics")
	m.only([]string{"path"})
	p := m.str("path", "/metrics")
	checkURLPath(m, p)
	return &process.Metrics{Path: p}
}

func checkURLPath(o *object, p string) {
	if !strings.HasPrefix(p, "/") || strings.ContainsAny(p, " \t\r\n#") {
		o.r.problem(o.at("path"), fmt.Sprintf("%q is no path of a URL", p), "it begins with a slash: /healthz")
	}
}

func readVerify(o *object) process.Verify {
	o.only([]string{"before", "preview", "step", "after"})
	return process.Verify{
		Before: readJobs(o, "before"), Preview: readJobs(o, "preview"), Step: readJobs(o, "step"), After: readJobs(o, "after"),
	}
}

func readJobs(o *object, key string) []process.Job {
	var out []process.Job
	seen := map[string]bool{}
	items := o.objects(key)
	if len(items) > maxJobs {
		o.r.problem(o.at(key), fmt.Sprintf("there are %d jobs, and at most %d are allowed", len(items), maxJobs), "put several requests into one command")
		return nil
	}
	for _, item := range items {
		j := readJob(item)
		if seen[j.Name] && j.Name != "" {
			item.r.problem(item.at("name"), fmt.Sprintf("there are two jobs %q", j.Name), "give each job its own name")
		}
		seen[j.Name] = true
		out = append(out, j)
	}
	return out
}

// jobName is short, and fit for a log line and a file's name.
var jobName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9 _.-]{0,62}$`)

func readJob(o *object) process.Job {
	o.only([]string{"name", "command", "http", "replay", "timeout"})
	j := process.Job{Name: o.str("name", ""), Timeout: o.duration("timeout", 30*time.Second, time.Millisecond, maxTimeout)}
	if !jobName.MatchString(j.Name) && !o.broken("name") {
		o.r.problem(o.at("name"), "a job needs a name", "up to 63 letters, digits, spaces, dots, dashes or underscores")
	}
	ways := 0
	for _, way := range []string{"command", "http", "replay"} {
		if o.has(way) {
			ways++
		}
	}
	if ways != 1 {
		o.r.problem(o.path, "a job is either a command, an http check or a replay", "give it one of command:, http: and replay:")
	}
	if o.has("command") {
		j.Command = readCommand(o, false)
	}
	if o.has("http") {
		j.HTTP = readHTTP(o.child("http"))
	}
	if o.has("replay") {
		j.Replay = readReplay(o.child("replay"))
	}
	return j
}

func readReplay(o *object) *process.Replay {
	o.only([]string{"requests", "methods", "rate", "within", "allow"})
	p := &process.Replay{
		Requests: o.str("requests", ""), Methods: o.strings("methods"), Rate: int(o.integer("rate", 20, 1, 1000)),
		Within: o.duration("within", 0, time.Millisecond, maxTimeout), Allow: o.percent("allow"),
	}
	if !filepath.IsLocal(p.Requests) && !o.broken("requests") {
		o.r.problem(o.at("requests"), fmt.Sprintf("%q is no file of the release", p.Requests), "name the HTTP archive (HAR) that was recorded, below the component's files")
	}
	if len(p.Methods) == 0 {
		p.Methods = []string{"GET", "HEAD", "OPTIONS"}
	}
	for _, m := range p.Methods {
		checkMethod(o, "methods", m)
	}
	return p
}

func checkMethod(o *object, key, method string) {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default:
		o.r.problem(o.at(key), fmt.Sprintf("%q is no HTTP method", method), "use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")
	}
}

func readHTTP(o *object) *process.HTTPCheck {
	o.only([]string{"method", "path", "status", "contains"})
	c := &process.HTTPCheck{
		Method: o.str("method", "GET"), Path: o.str("path", ""),
		Status: int(o.integer("status", 200, 100, 599)), Contains: o.str("contains", ""),
	}
	checkMethod(o, "method", c.Method)
	if !o.broken("path") {
		checkURLPath(o, c.Path)
	}
	return c
}

func readLogs(o *object) process.Logs {
	o.only([]string{"maxBytes", "keep"})
	return process.Logs{
		MaxBytes: cmp.Or(o.size("maxBytes", 10<<20, minLogBytes, maxLogBytes), 10<<20),
		Keep:     int(o.integer("keep", 3, 0, maxLogKeep)),
	}
}
