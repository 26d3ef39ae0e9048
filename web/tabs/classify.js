// Classify: the likeliest classes of a picture, or of many in a table; with which arithmetic, and what the other said.

import { $, chips } from '../app/dom.js';
import { t } from '../app/words.js';
import { milliseconds, percent } from '../app/format.js';
import { classify } from '../app/classify.js';
import { hideAnswer, nameOf, setBusy, short, showAnswer } from '../app/answer.js';
import { chooseNone, modelHasChanged, runBatch, startBatch } from '../app/batch.js';
import { readHash, writeHash } from '../app/hash.js';
import { TYPES, model } from '../app/model.js';
import { showRuns } from '../app/runs.js';

const box = $('#answer');

let said = { by: {} };      // of the picture `of`: by compute type, { best, ms }
let use = async () => {};

// What the other compute type said of this picture with this model, if it was asked.
function showOther() {
    const [compute, other] = Object.entries(said.by).find(([type]) => type !== model.vit.info.compute) ?? [];
    $('.other', box).textContent = other
        ? t('compute.other', { compute, label: short(nameOf(other.best)), score: percent(other.best.score), time: milliseconds(other.ms) }) : '';
}

function setCompute(compute) {
    model.compute = compute;
    writeHash({ compute: compute === TYPES[0] ? undefined : compute });
    $(`#compute [value="${compute}"]`).checked = true;
}

// A model with that arithmetic: the one that is on its way, if one is, else that in use, which goes on as it is when it cannot be
// had otherwise.
export async function useWith(compute, origin = model.load?.origin ?? model.origin) {
    setCompute(compute);
    if (origin && !await use(origin) && !model.load && model.vit) setCompute(model.vit.info.compute);
}

export default {
    name: 'classify',
    show: showRow,

    start(page) {
        use = page.use;
        startBatch();
        model.compute = TYPES.find((type) => type === readHash().compute) ?? TYPES[0];
        chips($('#compute'), 'compute', TYPES, String, model.compute, (compute) => useWith(compute));
    },

    async look(picture, signal, shown) {
        setBusy(true);
        const { compute } = model.vit.info;
        const result = await classify(picture.blob, signal);
        await shown;
        if (signal.aborted) return;
        showAnswer(result);
        if (said.of !== picture || said.origin !== model.origin) said = { of: picture, origin: model.origin, by: {} };
        said.by[compute] = { best: result.top[0], ms: result.ms };
        showOther();
        showRuns(result.parts);
    },

    clear: hideAnswer,

    translate() {
        if (model.vit) showOther();
    },

    follow({ compute: type }) {
        if (TYPES.includes(type)) useWith(type);
    },

    modelChanged: modelHasChanged,

    newPicture: chooseNone,

    many: runBatch,
};

// A row of the table: its answer as far as it is known.
function showRow({ result }) {
    if (!result) return hideAnswer();
    showAnswer(result);
    said = { by: {} };
    showOther();
    showRuns(result.parts);
}
