-- +goose Up
-- Environments that are known already were deployed into without having been
-- opened: they stay as they are.
UPDATE environment SET doc = jsonb_set(doc::jsonb, '{opened}', jsonb_build_object(
  'place', doc::jsonb -> 'rules' -> 'place', 'by', 'towpath', 'at', '1970-01-01T00:00:00Z'))::text;

-- +goose Down
UPDATE environment SET doc = (doc::jsonb - 'opened')::text;
