// Which part of a picture the model is fed, and how it is cut into patches, from vit.info.input.

export function viewOf({ height, width, patch: [patch], grid: [rows, columns], crop, cropPct }) {
    // What a picture is resized to, or to cover or fit: as vit_place() in src/image/preprocess.c has it.
    const sides = [width, height].map((side) => Math.floor(side / cropPct));
    const scaled = crop === 'short_floor' ? sides.map(() => Math.min(...sides)) : sides;
    return {
        rows, columns, patch,
        // Picture size to the area seen, in its pixels; of border with a margin around the picture.
        seen(pictureWidth, pictureHeight) {
            const scales = [scaled[0] / pictureWidth, scaled[1] / pictureHeight];
            const scale = crop === 'border' ? Math.min(...scales) : Math.max(...scales);
            const [across, down] = crop.startsWith('squash') ? scales : [scale, scale];
            const area = { width: width / across, height: height / down };
            return { left: (pictureWidth - area.width) / 2, top: (pictureHeight - area.height) / 2, ...area };
        },
    };
}
