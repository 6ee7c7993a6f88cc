package evidence

import (
	"testing"
	"time"

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
				f("S-3", "unknown", ""), f("CVE-1", "critical", "api/go.mod"), f("S-1", "high", ""), f("CVE-2", "medium", "api/go.mod"), f("S-2", "medium", ""), f("S-2", "low", ""),
			},
		}},
		{"CycloneDX", cyclonedx, Scan{
			Tool: "grype", Format: "cyclonedx", Made: time.Date(2026, 11, 20, 11, 0, 0, 0, time.UTC), Closed: 1,
			Findings: []towpath.ScanFinding{f("CVE-4", "unknown", ""), f("CVE-1", "critical", "elsewhere"), f("CVE-1", "critical", "left-pad 1.3.0"), f("CVE-2", "low", "")},
		}},
		{"CycloneDX with the tools of before", `{"bomFormat": "CycloneDX", "metadata": {"tools": [{"vendor": "x", "name": "old"}]}}`, Scan{Tool: "old", Format: "cyclonedx"}},
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
			if diff := cmp.Diff(&towpath.ScanFacts{Tool: got.Tool, Findings: append([]towpath.ScanFinding{}, got.Findings...), Total: len(got.Findings)}, facts); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
	for name, report := range map[string]string{
		"nothing": "", "no JSON": "CVE-1 high", "another format": `{"matches": []}`, "a SARIF without runs": `{"version": "2.1.0"}`,
		"an old SARIF": `{"version": "1.0.0", "runs": []}`, "a SARIF of no tool": `{"version": "2.1.0", "runs": []}`, "a CycloneDX of no tool": `{"bomFormat": "CycloneDX"}`,
		"a CycloneDX of another shape": `{"bomFormat": "CycloneDX", "vulnerabilities": 7}`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := ReadReport([]byte(report)); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestReadScan(t *testing.T) {
	for name, predicate := range map[string]string{
		"another shape": `{"tool": 7}`, "no tool": `{"findings": []}`, "no findings at all": `{"tool": "x"}`, "a finding without ID": `{"tool": "x", "findings": [{"severity": "low"}]}`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := ReadScan([]byte(predicate)); err == nil {
				t.Error("read")
			}
		})
	}
	t.Run("takes an odd severity for the worst", func(t *testing.T) {
		facts, err := ReadScan([]byte(`{"tool": "x", "findings": [{"id": "a", "severity": "high"}, {"id": "b", "severity": "harmless, believe me"}]}`))
		if err != nil || facts.Findings[0].ID != "b" || facts.Findings[0].Severity != towpath.SeverityUnknown {
			t.Errorf("got %+v, %v", facts, err)
		}
	})
}

func FuzzReadReport(f *testing.F) {
	f.Add([]byte(sarif))
	f.Add([]byte(cyclonedx))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ReadReport(b)
		if err != nil {
			return
		}
		statement, err := MakeScan(towpath.DigestOf(b), s)
		if err != nil {
			return // text that is no UTF-8
		}
		if _, err := Parse(statement); err != nil {
			t.Fatalf("what was made is not read: %v", err)
		}
	})
}
