"""BlazePose's geometry and how a person is followed, with networks that are told what to say."""

import zipfile

import numpy as np
import pytest

from rac_jax.data import blazepose, skeletons


def test_anchors():
    found = blazepose.anchors()
    assert found.shape == (2254, 2)
    np.testing.assert_allclose(found[:3], [[0.5 / 28] * 2] * 2 + [[1.5 / 28, 0.5 / 28]])
    np.testing.assert_allclose(found[-1], [6.5 / 7, 6.5 / 7])


def test_a_square_is_upright_where_the_top_is_above():
    square = blazepose.around(np.array([50.0, 60.0]), np.array([50.0, 40.0]))
    assert square.angle == pytest.approx(0) and square.side == pytest.approx(50)
    corner = square.to_picture(np.array([0.0, 0.0]))
    np.testing.assert_allclose(corner, [25, 35], atol=1e-9)
    # Lying with the head to the right: what is up in the square is right in the picture.
    lying = blazepose.around(np.array([50.0, 60.0]), np.array([70.0, 60.0]))
    np.testing.assert_allclose(lying.to_picture([0.5, 0.0]), [75, 60], atol=1e-9)
    np.testing.assert_allclose(lying.to_picture([0.0, 0.5]), [50, 35], atol=1e-9)


def test_cutting():
    frame = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    whole = blazepose.Square(4.0, 4.0, 8.0, 0.0)
    np.testing.assert_allclose(blazepose.cut(frame, whole, 8), frame / 255, atol=1e-6)
    turned = blazepose.Square(4.0, 4.0, 8.0, np.pi / 2)
    # A picture of one who lies with the head to the right, set upright.
    np.testing.assert_allclose(
        blazepose.cut(frame, turned, 8), np.rot90(frame) / 255, atol=1e-6
    )
    beyond = blazepose.Square(12.0, 4.0, 8.0, 0.0)
    assert not blazepose.cut(frame, beyond, 8).any()


def test_a_joint_moves_to_the_middle_of_its_heat():
    heat = np.full((64, 64, 2), -9.0)
    heat[20, 30, 0] = 9.0
    places = np.array([[32.5 / 64, 21.5 / 64], [0.5, 0.5]])
    found = blazepose.refined(places, heat)
    np.testing.assert_allclose(found[0], [30 / 64, 20 / 64], atol=3e-3)
    # Where nothing is hot it stays.
    np.testing.assert_array_equal(found[1], places[1])


class Scripted:
    """Networks that see a person whose hips are at (100, 120) and whose circle reaches 40 up."""

    def __init__(self, lost=()):
        self.detected, self.lost, self.looked = 0, lost, 0

    def detector(self, shown):
        assert shown.shape == (1, 224, 224, 3) and -1 <= shown.min() <= shown.max() <= 1
        self.detected += 1
        boxes, scores = np.zeros((1, 2254, 12)), np.full((1, 2254, 1), -9.0)
        scores[0, 700] = 3.0
        # The picture is 200 x 160: 224 pixels of the square are 200 of it, 20 over its top.
        away = np.array([[100, 140], [100, 100]]) / 200 - blazepose.anchors()[700]
        boxes[0, 700, 4:8] = 224 * away.ravel()
        return [boxes, scores]

    def landmarker(self, shown):
        assert shown.shape == (1, 256, 256, 3) and 0 <= shown.min() <= shown.max() <= 1
        self.looked += 1
        points = np.zeros((39, 5))
        points[:, :2] = 128  # in the middle of the square
        points[0, :2] = (128, 64)
        points[:, 3] = 2.0
        # The next square: as it is.
        points[34, :2] = (128, 128 - 256 / (2 * blazepose.LARGER))
        presence = np.array([[0.0 if self.looked in self.lost else 1.0]])
        heat = np.full((1, 64, 64, 39), -9.0)
        return [points.reshape(1, 195), presence, heat]


def test_a_person_is_followed_and_found_again():
    script = Scripted(lost=(3,))
    model = blazepose.BlazePose(script.detector, script.landmarker)
    frames = [(np.zeros((160, 200, 3), np.uint8), place / 16) for place in range(5)]
    record = blazepose.pose_skeletons("v", frames, model)
    # Found in the first frame, lost in the third, found again in the fourth.
    assert script.detected == 2 and script.looked == 5
    poses = record.poses[:, 0]
    assert [bool(pose[:, 2].any()) for pose in poses] == [True, True, False, True, True]
    assert record.layout == skeletons.BLAZEPOSE
    for pose in poses[[0, 1, 3, 4]]:
        # Middle of the square, and a quarter of its side, 100 pixels, above.
        np.testing.assert_allclose(pose[5, :2], [0.0, 0.25], atol=1e-6)
        np.testing.assert_allclose(pose[0, :2], [0.0, 95 / 160 - 0.5], atol=1e-6)
        np.testing.assert_allclose(pose[:, 2], 1 / (1 + np.exp(-2)), rtol=1e-6)
    with pytest.raises(ValueError, match="v: has no frame"):
        blazepose.pose_skeletons("v", [], model)


def test_models_that_are_not_there(tmp_path):
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(blazepose.DETECTOR, b"x")
    assert blazepose.model_file(wheel, blazepose.DETECTOR) == b"x"
    message = "pip download --no-deps mediapipe==0.10.21"
    for place in (wheel, tmp_path):
        with pytest.raises(ValueError, match=message):
            blazepose.model_file(place, blazepose.LANDMARKER)
