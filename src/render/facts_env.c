/* The facts about variables: what dais reads from the environment, in groups for .env files. */
#include "render/rows_impl.h"

enum group { GROUP_DAIS, GROUP_DATABASE, GROUP_CACHE, GROUP_STORAGE, GROUP_MAIL, GROUP_COUNT };

static const struct {
    const char *key, *title;
} groups[GROUP_COUNT] = {
    [GROUP_DAIS] = {"dais", "dais itself"}, [GROUP_DATABASE] = {"database", "The database"},
    [GROUP_CACHE] = {"cache", "Redis"},     [GROUP_STORAGE] = {"storage", "Where files are kept"},
    [GROUP_MAIL] = {"mail", "Mail"},
};

static enum group group_of(enum setting_id id)
{
    if (id == SET_DATABASE_URL)
        return GROUP_DATABASE;
    if (id == SET_REDIS_URL)
        return GROUP_CACHE;
    if (id >= SET_STORAGE_BACKEND && id <= SET_AWS_SESSION_TOKEN)
        return GROUP_STORAGE;
    if (id == SET_SMTP_URL || id == SET_MAIL_FROM)
        return GROUP_MAIL;
    return GROUP_DAIS;
}

/* What is different for somebody who runs the image. */
static const char *note_of(enum setting_id id)
{
    switch (id) {
    case SET_LISTEN:
        return "Compose does not pass it on: BIND_ADDRESS and PORT are for that.";
    case SET_PORT:
        return "In Compose: the port of this machine, 8000 when not set.";
    case SET_DATA:
        return "Compose does not pass it on: in the image it is /data, which is a volume.";
    case SET_AWS_PROFILE:
        return "Compose does not pass it on: there is no ~/.aws in the image.";
    default:
        return "";
    }
}

static void one(const struct facts *f, enum setting_id id)
{
    struct setting_about about = setting_about(id);
    json_write_object(f->w);
    facts_str(f, "name", slice_from(about.name));
    facts_str(f, "def", slice_from(about.def));
    facts_str(f, "doc", slice_from(about.doc));
    facts_str(f, "note", slice_from(note_of(id)));
    facts_bool(f, "is_fixed", env_find(f->t, slice_from(about.name))); /* by the target */
    facts_end(f);
}

void facts_settings(const struct facts *f)
{
    facts_begin_list(f, "settings");
    for (int g = 0; g < GROUP_COUNT; g++) {
        json_write_object(f->w);
        facts_str(f, "key", slice_from(groups[g].key));
        facts_str(f, "title", slice_from(groups[g].title));
        facts_begin_list(f, "variables");
        for (int id = 0; id < SETTING_COUNT; id++) {
            if (group_of((enum setting_id)id) == (enum group)g)
                one(f, (enum setting_id)id);
        }
        facts_end_list(f);
        facts_end(f);
    }
    facts_end_list(f);
}
