package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

const sarif = `{"version": "2.1.0", "runs": [{
  "tool": {"driver": {"name": "Trivy", "rules": [
    {"id": "CVE-1", "properties": {"security-severity": "9.8"}}, {"id": "CVE-2", "properties": {"security-severity": 5.5}},
    {"id": "S-1", "defaultConfiguration": {"level": "error"}}, {"id": "S-2"}]}},
  "invocations": [{"endTimeUtc": "2026-11-20T10:00:00Z"}],
  "results": [
    {"ruleId": "CVE-2", "level": "error", "locations": [{"physicalLocation": {"artifactLocation": {"uri": "api/go.mod"}}}]},
    {"ruleId": "CVE-1", "level": "error", "locations": [{"physicalLocation": {"artifactLocation": {"uri": "api/go.mod"}}}]},
    {"ruleId": "CVE-1", "level": "error", "locations": [{"physicalLocation": {"artifactLocation": {"uri": "api/go.mod"}}}]},
    {"ruleId": "CVE-1", "suppressions": [{"kind": "external"}]},
    {"ruleId": "S-1"}, {"ruleId": "S-2"}, {"ruleId": "S-2", "level": "note"}, {"ruleId": "S-2", "kind": "pass"}, {"ruleId": "S-3", "level": "odd"}]}]}`

const cyclonedx = `{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
  "metadata": {"timestamp": "2026-11-20T11:00:00Z", "tools": {"components": [{"name": "grype", "version": "0.90"}]}},
  "components": [{"bom-ref": "pkg:npm/left-pad@1.3.0", "name": "left-pad", "version": "1.3.0"}],
  "vulnerabilities": [
    {"id": "CVE-1", "ratings": [{"severity": "medium"}, {"severity": "critical"}], "affects": [{"ref": "pkg:npm/left-pad@1.3.0"}, {"ref": "elsewhere"}]},
    {"id": "CVE-2", "ratings": [{"severity": "low"}], "analysis": {"state": "exploitable"}},
    {"id": "CVE-3", "ratings": [{"severity": "critical"}], "analysis": {"state": "not_affected"}},
    {"id": "CVE-4"}]}`

// packs has its rules where CodeQL has them, and names them in each way that
// there is.
const packs = `{"version": "2.1.0", "runs": [{
  "tool": {
    "driver": {"name": "CodeQL", "rules": [{"id": "go/driver", "properties": {"security-severity": "2"}}, {"id": "go/both", "properties": {"security-severity": "1"}}]},
    "extensions": [
      {"name": "a", "rules": [{"id": "go/sql", "properties": {"security-severity": "9.1"}}, {"id": "go/both", "properties": {"security-severity": "9.9"}}]},
      {"name": "b", "rules": [{"id": "go/log", "properties": {"security-severity": "7.5"}}, {"id": "go/pointed", "properties": {"security-severity": "9"}},
        {"id": "go/own", "properties": {"security-severity": "1"}}, {"id": "go/own/1", "properties": {"security-severity": "5"}}]}]},
  "results": [
    {"ruleId": "go/sql/1", "level": "note"}, {"ruleId": "go/both", "ruleIndex": 1},
    {"rule": {"id": "go/log", "toolComponent": {"name": "b"}}}, {"rule": {"index": 1, "toolComponent": {"index": 1}}},
    {"ruleId": "go/own/1"}, {"ruleId": "go/own/2"}, {"ruleIndex": 0, "rule": {"index": 0}}]}]}`

const suppressed = `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [
  {"ruleId": "accepted", "level": "error", "suppressions": [{"kind": "external", "status": "accepted"}]},
  {"ruleId": "without", "level": "error", "suppressions": [{"kind": "inSource"}]},
  {"ruleId": "two", "level": "error", "suppressions": [{"kind": "inSource"}, {"status": "accepted"}]},
  {"ruleId": "rejected", "level": "error", "suppressions": [{"kind": "external", "status": "rejected"}]},
  {"ruleId": "review", "level": "error", "suppressions": [{"kind": "external", "status": "underReview"}]},
  {"ruleId": "both", "level": "error", "suppressions": [{"status": "accepted"}, {"status": "rejected"}]},
  {"ruleId": "odd", "level": "error", "suppressions": [{"status": "maybe"}]},
  {"ruleId": "open", "level": "error", "suppressions": []}]}]}`

// unnamed has findings without the ID of a rule, some of which point at a rule
// that is not there: how bad these are nobody knows.
const unnamed = `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x", "rules": [{"id": "one"}]}}, "results": [
  {"level": "error", "message": {"text": "eval of input"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a.go"}}}]},
  {"level": "error", "message": {"text": "eval of input"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "b.go"}}}]},
  {"message": {"markdown": "weak hash"}, "ruleIndex": -1}, {"level": "note"},
  {"level": "note", "message": {"text": "far"}, "ruleIndex": 7}, {"level": "note", "message": {"text": "lost"}, "rule": {"index": 0, "toolComponent": {"name": "b"}}},
  {"message": {"id": "m1", "arguments": ["a", "b"]}, "rule": {"guid": "11111111-1111-1111-8888-111111111111"}}]}]}`

func hash(text string) string { return towpath.DigestOf([]byte(text)).Hex()[:12] }

func TestReadReport(t *testing.T) {
	f := func(id string, s towpath.Severity, in string) towpath.ScanFinding {
		return towpath.ScanFinding{ID: id, Severity: s, In: in}
	}
	for _, tt := range []struct {
		name, report string
		want         Scan
	}{
		{"SARIF", sarif, Scan{
			Tool: "Trivy", Format: "sarif", Made: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC), Closed: 2,
			Findings: []towpath.ScanFinding{
				f("S-3", "unknown", ""), f("CVE-1", "critical", "api/go.mod"), f("S-1", "high", ""), f("CVE-2", "medium", "api/go.mod"), f("S-2", "medium", ""),
			},
		}},
		{"SARIF with rules in extensions", packs, Scan{
			Tool: "CodeQL", Format: "sarif",
			Findings: []towpath.ScanFinding{
				f("go/both", "critical", ""), f("go/pointed", "critical", ""), f("go/sql/1", "critical", ""), f("go/log", "high", ""), f("go/own/1", "medium", ""),
				f("go/driver", "low", ""), f("go/own/2", "low", ""),
			},
		}},
		{"SARIF with suppressions", suppressed, Scan{
			Tool: "x", Format: "sarif", Closed: 3,
			Findings: []towpath.ScanFinding{f("both", "high", ""), f("odd", "high", ""), f("open", "high", ""), f("rejected", "high", ""), f("review", "high", "")},
		}},
		{"SARIF that found nothing, twice by the same tool", `{"version": "2.1.0", "runs": [
			{"tool": {"driver": {"name": "x"}}, "invocations": [{"executionSuccessful": true, "exitCode": 1}], "results": []},
			{"tool": {"driver": {"name": "x"}}, "invocations": [{}], "externalPropertyFileReferences": {"artifacts": [{"location": {"uri": "a"}}], "results": []}, "results": []}]}`,
			Scan{Tool: "x", Format: "sarif"}},
		{"SARIF whose tool had errors and went on", `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [], "invocations": [{"executionSuccessful": true,
			"toolExecutionNotifications": [{"level": "error"}, {"level": "warning"}, {}], "toolConfigurationNotifications": [{"level": "error"}]}]}]}`,
			Scan{Tool: "x", Format: "sarif", Errors: 2}},
		{"SARIF with findings that have no ID", unnamed, Scan{
			Tool: "x", Format: "sarif",
			Findings: []towpath.ScanFinding{
				f("unnamed-"+hash("m1 a b"), "unknown", ""), f("unnamed-"+hash("far"), "unknown", ""), f("unnamed-"+hash("lost"), "unknown", ""),
				f("unnamed-"+hash("eval of input"), "high", "a.go"), f("unnamed-"+hash("eval of input"), "high", "b.go"), f("unnamed-"+hash("weak hash"), "medium", ""),
				f("unnamed", "low", ""),
			},
		}},
		{"CycloneDX with findings that have no ID", `{"bomFormat": "CycloneDX", "metadata": {"tools": [{"name": "x"}]}, "vulnerabilities": [
			{"description": "eval of input", "ratings": [{"severity": "high"}]}, {"ratings": [{"severity": "low"}], "affects": [{"ref": "a"}]}]}`,
			Scan{Tool: "x", Format: "cyclonedx", Findings: []towpath.ScanFinding{f("unnamed-"+hash("eval of input"), "high", ""), f("unnamed", "low", "a")}}},
		{"CycloneDX", cyclonedx, Scan{
			Tool: "grype", Format: "cyclonedx", Made: time.Date(2026, 11, 20, 11, 0, 0, 0, time.UTC), Closed: 1,
			Findings: []towpath.ScanFinding{f("CVE-4", "unknown", ""), f("CVE-1", "critical", "elsewhere"),
				{ID: "CVE-1", Severity: "critical", In: "left-pad 1.3.0", PURL: "pkg:npm/left-pad@1.3.0"}, f("CVE-2", "low", "")},
		}},
		{"CycloneDX with the tools of before", `{"bomFormat": "CycloneDX", "metadata": {"tools": [{"vendor": "x", "name": "old"}]}, "vulnerabilities": []}`, Scan{Tool: "old", Format: "cyclonedx"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadReport([]byte(tt.report))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Report = towpath.DigestOf([]byte(tt.report))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			release := towpath.DigestOf([]byte("release"))
			b, err := MakeScan(release, got)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Parse(b)
			if err != nil || !s.About(release) {
				t.Fatal(err)
			}
			facts, err := ReadScan(s.Predicate)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "rrors") {
				t.Errorf("the tool's own errors are signed: %s", b)
			}
			if diff := cmp.Diff(&towpath.ScanFacts{Tool: got.Tool, Findings: append([]towpath.ScanFinding{}, got.Findings...), Made: got.Made, Total: len(got.Findings)}, facts); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
	for name, report := range map[string]string{
		"nothing": "", "no JSON": "CVE-1 high", "another format": `{"matches": []}`, "a SARIF without runs": `{"version": "2.1.0"}`,
		"an old SARIF": `{"version": "1.0.0", "runs": []}`, "a SARIF of no tool": `{"version": "2.1.0", "runs": []}`,
		"a CycloneDX of no tool":       `{"bomFormat": "CycloneDX", "vulnerabilities": []}`,
		"a CycloneDX of another shape": `{"bomFormat": "CycloneDX", "vulnerabilities": 7}`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := ReadReport([]byte(report)); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestReadReport_RefusesWhatIsNoOutcome: a report that does not say what was found
// must not pass for one that says that nothing was, and takes the place of no other.
func TestReadReport_RefusesWhatIsNoOutcome(t *testing.T) {
	run := func(rest string) string {
		return `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "trivy"}}` + rest + `}]}`
	}
	for _, tt := range []struct{ name, report, says string }{
		{"a run that failed", run(`, "invocations": [{"executionSuccessful": false, "exitCode": 1}]`), "trivy failed"},
		{"a run that failed, with results", run(`, "invocations": [{"executionSuccessful": true}, {"executionSuccessful": false}], "results": []`), "trivy failed"},
		{"results that are absent", run(""), "has no results"},
		{"results that are null", run(`, "results": null`), "has no results"},
		{"a run that is null", `{"version": "2.1.0", "runs": [null]}`, "has no results"},
		{"results of the second run that are absent", `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "trivy"}}, "results": []}, {"tool": {"driver": {"name": "trivy"}}}]}`, "has no results"},
		{"findings in another file", run(`, "externalPropertyFileReferences": {"results": [{"location": {"uri": "results.sarif-external-properties"}}]}`), "in other files"},
		{"more findings in another file", run(`, "results": [], "externalPropertyFileReferences": {"results": [{"guid": "1"}]}`), "in other files"},
		{"rules in another file", run(`, "results": [], "externalPropertyFileReferences": {"driver": {"guid": "1"}}`), "in other files"},
		{"packs of rules in another file", run(`, "results": [], "externalPropertyFileReferences": {"extensions": [{"guid": "1"}]}`), "in other files"},
		{"invocations in another file", run(`, "results": [], "externalPropertyFileReferences": {"invocations": [{"guid": "1"}]}`), "in other files"},
		{"findings beside the runs", `{"version": "2.1.0", "inlineExternalProperties": [{"results": [{}]}], "runs": [{"tool": {"driver": {"name": "trivy"}}, "results": []}]}`, "beside its runs"},
		{"several tools", `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "trivy"}}, "results": []}, {"tool": {"driver": {"name": "semgrep"}}, "results": [{"ruleId": "X1"}]}]}`,
			"several tools: semgrep, trivy"},
		{"a second run of no tool", `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "trivy"}}, "results": []}, {"results": [{"ruleId": "X1"}]}]}`, "which tool"},
		{"a bill of materials", `{"bomFormat": "CycloneDX", "metadata": {"tools": [{"name": "trivy"}]}, "components": [{"name": "left-pad"}]}`, "no vulnerabilities"},
		{"vulnerabilities that are null", `{"bomFormat": "CycloneDX", "metadata": {"tools": [{"name": "trivy"}]}, "vulnerabilities": null}`, "no vulnerabilities"},
		{"a CycloneDX of several tools", `{"bomFormat": "CycloneDX", "metadata": {"tools": {"components": [{"name": "trivy"}, {"name": "grype"}]}}, "vulnerabilities": []}`, "several tools: grype, trivy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadReport([]byte(tt.report))
			var e *towpath.Error
			if !errors.As(err, &e) || e.Kind != towpath.KindInvalid || !strings.Contains(e.Message, tt.says) || e.Hint == "" {
				t.Errorf("got %v", err)
			}
			// Nor is it an outcome when somebody signs it as it is.
			if facts, err := ReadScan([]byte(tt.report)); err == nil {
				t.Errorf("signed as it is it reads as %+v", facts)
			}
		})
	}
}

func TestReadScan(t *testing.T) {
	for name, predicate := range map[string]string{
		"another shape": `{"tool": 7}`, "no tool": `{"findings": []}`, "no findings at all": `{"tool": "x"}`, "findings that are null": `{"tool": "x", "findings": null}`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := ReadScan([]byte(predicate)); err == nil {
				t.Error("read")
			}
		})
	}
	t.Run("counts a finding without ID", func(t *testing.T) {
		facts, err := ReadScan([]byte(`{"tool": "x", "findings": [{"severity": "high"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]towpath.ScanFinding{{ID: "unnamed", Severity: towpath.SeverityHigh}}, facts.Findings); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("takes an odd severity for the worst", func(t *testing.T) {
		facts, err := ReadScan([]byte(`{"tool": "x", "findings": [{"id": "a", "severity": "high"}, {"id": "b", "severity": "harmless, believe me"}]}`))
		if err != nil || facts.Findings[0].ID != "b" || facts.Findings[0].Severity != towpath.SeverityUnknown {
			t.Errorf("got %+v, %v", facts, err)
		}
	})
}

// TestReadScan_KeepsOneOfEachID: an exception is by ID, so what is found in a
// thousand places must not hide what is found in one.
func TestReadScan_KeepsOneOfEachID(t *testing.T) {
	read := func(all ...towpath.ScanFinding) *towpath.ScanFacts {
		t.Helper()
		b, err := json.Marshal(Scan{Tool: "x", Findings: all})
		if err != nil {
			t.Fatal(err)
		}
		facts, err := ReadScan(b)
		if err != nil {
			t.Fatal(err)
		}
		return facts
	}
	var everywhere []towpath.ScanFinding
	for i := range 1000 {
		everywhere = append(everywhere, towpath.ScanFinding{ID: "CVE-0", Severity: towpath.SeverityCritical, In: fmt.Sprintf("%04d", i)})
	}
	t.Run("also of one that is everywhere", func(t *testing.T) {
		bad := towpath.ScanFinding{ID: "CVE-1", Severity: towpath.SeverityHigh, In: "x"}
		facts := read(append(everywhere, bad)...)
		if !slices.Contains(facts.Findings, bad) || len(facts.Findings) != keptFindings || facts.Total != 1001 || facts.Hidden != nil {
			t.Errorf("kept %d of %d, hid %v", len(facts.Findings), facts.Total, facts.Hidden)
		}
	})
	t.Run("and says how many IDs are left out, as bad as they are", func(t *testing.T) {
		var all []towpath.ScanFinding
		for i := range keptFindings {
			all = append(all, towpath.ScanFinding{ID: fmt.Sprintf("CVE-%04d", i), Severity: towpath.SeverityCritical, In: "x"})
		}
		for i := range 3 {
			all = append(all, towpath.ScanFinding{ID: "H-1", Severity: towpath.SeverityHigh, In: strconv.Itoa(i)}, towpath.ScanFinding{ID: "L-" + strconv.Itoa(i), Severity: towpath.SeverityLow})
		}
		facts := read(all...)
		if diff := cmp.Diff(map[towpath.Severity]int{towpath.SeverityHigh: 1, towpath.SeverityLow: 3}, facts.Hidden); diff != "" || len(facts.Findings) != keptFindings {
			t.Errorf("kept %d, hid %v", len(facts.Findings), facts.Hidden)
		}
	})
	t.Run("the worst, where one is found twice", func(t *testing.T) {
		facts := read(towpath.ScanFinding{ID: "a", Severity: towpath.SeverityLow, In: "x"}, towpath.ScanFinding{ID: "a", Severity: towpath.SeverityHigh, In: "x"})
		if len(facts.Findings) != 1 || facts.Findings[0].Severity != towpath.SeverityHigh || facts.Total != 1 {
			t.Errorf("got %+v", facts)
		}
	})
}

func FuzzReadReport(f *testing.F) {
	f.Add([]byte(sarif))
	f.Add([]byte(cyclonedx))
	f.Add([]byte(vexDocument))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ReadReport(b)
		if err != nil {
			return
		}
		statement, err := MakeScan(towpath.DigestOf(b), s)
		if err != nil {
			return // text that is no UTF-8
		}
		parsed, err := Parse(statement)
		if err != nil {
			t.Fatalf("what was made is not read: %v", err)
		}
		x := towpath.Attestation{Type: towpath.EvidenceScan}
		if err := ReadInto(&x, parsed.Predicate); err != nil || (x.VEX != nil) != (len(s.Statements) > 0) || (x.VEX == nil) == (x.Scan == nil) {
			t.Fatalf("it is read as %+v, %v", x, err)
		}
	})
}

// TestReadReport_KeepsLongNamesApart: two findings whose names differ at their end
// only are two, so that an exception for one is none for the other.
func TestReadReport_KeepsLongNamesApart(t *testing.T) {
	long := strings.Repeat("ü", 99)
	report := fmt.Sprintf(`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Semgrep"}},"results":[
		{"ruleId":"%sa","level":"error","message":{"text":"x"}},{"ruleId":"%sb","level":"error","message":{"text":"x"}}]}]}`, long, long)
	got, err := ReadReport([]byte(report))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Findings) != 2 || got.Findings[0].ID == got.Findings[1].ID {
		t.Fatalf("got %+v", got.Findings)
	}
	for _, f := range got.Findings {
		if len(f.ID) > 100 || !utf8.ValidString(f.ID) {
			t.Errorf("%q has %d bytes", f.ID, len(f.ID))
		}
	}
}
