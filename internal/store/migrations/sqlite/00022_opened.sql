-- +goose Up
-- Environments that are known already were deployed into without having been
-- opened: they stay as they are.
UPDATE environment SET doc = json_set(doc, '$.opened', json_object(
  'place', json_extract(doc, '$.rules.place'), 'by', 'towpath', 'at', '1970-01-01T00:00:00Z'));

-- +goose Down
UPDATE environment SET doc = json_remove(doc, '$.opened');
