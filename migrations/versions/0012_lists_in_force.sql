-- A part that comes once more after its list went into force must not wait for a later list of the same name.

alter table upload_list add column in_force_at timestamptz;
