// Classify: the likeliest classes of a picture, or of many in a table.

import { $ } from '../app/dom.js';
import { classify } from '../app/classify.js';
import { hideAnswer, setBusy, showAnswer } from '../app/answer.js';
import { closeBatch, runBatch, stopBatch } from '../app/batch.js';
import { showRuns } from '../app/runs.js';

export default {
    name: 'classify',
    show: showRow,

    async look(picture, signal, shown) {
        setBusy(true);
        const result = await classify(picture.blob, signal);
        await shown;
        if (signal.aborted) return;
        showAnswer(result);
        showRuns(result.parts);
    },

    clear: hideAnswer,

    loading: stopBatch,
    modelChanged: closeBatch,

    newPicture: closeBatch,

    // show(row) is called with a row of the table whose picture is to be seen.
    many: runBatch,
};

// A row of the table: its answer as far as it is known.
function showRow({ result }) {
    if (!result) return hideAnswer();
    showAnswer(result);
    showRuns(result.parts);
}
