-- +goose Up
-- Environments that something was deployed into before they had to be opened stay
-- as they are, in their place; what was only proposed waits to be opened. Rules
-- came from whoever could publish, so a document is taken as text: no string in
-- JSON has a quote of its own, and what stands in quotes after ,"place": first is
-- the place of the rules. One with a backslash is no name of a place.
UPDATE environment SET doc = '{"opened":{"place":"'
  || substr(substr(doc, instr(doc, ',"place":"') + 10), 1, instr(substr(doc, instr(doc, ',"place":"') + 10), '"') - 1)
  || '","by":"towpath","at":"1970-01-01T00:00:00Z"},' || substr(doc, 2)
WHERE instr(doc, ',"place":"') > 0 AND instr(doc, '"opened":') = 0
  AND instr(substr(substr(doc, instr(doc, ',"place":"') + 10), 1, instr(substr(doc, instr(doc, ',"place":"') + 10), '"') - 1), char(92)) = 0
  AND (digest <> '' OR EXISTS (
    SELECT 1 FROM deployment d WHERE d.project = environment.project AND d.environment = environment.name));

-- +goose Down
-- Who reads these documents without the field passes over it.
SELECT 1;
